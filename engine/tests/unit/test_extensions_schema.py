"""The schema of what a contract may say beside OpenAPI, for editors: it takes what the server takes."""

import json
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resource_server.contract.checks import OWN
from resource_server.tokens.rules import KEYWORDS, rules_of
from tests.processes import SAMPLE, TESTS

SCHEMA: dict[str, Any] = json.loads(files("resource_server.contract").joinpath("extensions.schema.json").read_text())
VALIDATOR = jsonschema_rs.Draft7Validator(SCHEMA)


def test_schema_is_one() -> None:
    assert jsonschema_rs.meta.is_valid(SCHEMA)


def test_schema_names_all_that_has_a_meaning_and_nothing_else() -> None:
    holders = [SCHEMA["properties"], *(each.get("properties", {}) for each in SCHEMA["definitions"].values())]
    assert {name for holder in holders for name in holder if name.startswith("x-")} == set(OWN)
    assert SCHEMA["definitions"]["claim"]["properties"].keys() == KEYWORDS.keys()


@pytest.mark.parametrize("path", [SAMPLE / "openapi.yaml", TESTS / "shop" / "openapi.yaml"], ids=["sample", "shop"])
def test_contracts_are_valid(path: Any) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))) == []


scalars = st.one_of(st.sampled_from(["pro", "", 1, 1.5, True, False]), st.none(), st.just({}), st.just([]))
values = scalars | st.lists(scalars, max_size=2) | st.just([["a"]])
requirements = st.dictionaries(st.sampled_from([*KEYWORDS, "equal", "$ref"]), values, max_size=2) | values
names = ["plan", "a.b", "iss", "acr.x", "issuer", "cnf", "https://example.com/x", "", 'a"b', "ä", "a b"]
claims = st.dictionaries(st.sampled_from(names), requirements)


@given(claims | values)
def test_claims_are_valid_where_they_are_enforced(required: Any) -> None:
    try:
        enforced = bool(rules_of(required))
    except ValueError:
        enforced = False
    assert VALIDATOR.is_valid({"x-claims": required}) is enforced
    in_operation = {"paths": {"/a": {"get": {"x-claims": required}}}}
    assert VALIDATOR.is_valid(in_operation) is enforced
