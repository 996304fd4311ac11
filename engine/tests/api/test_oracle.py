"""Whom random contracts let in, against an oracle that knows nothing of the engine; `CASES` says how many are tried."""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_list_header

from resource_server.settings import Settings
from tests.application_mutants import CLAIMS_REQUIRED, REQUIREMENTS, Mutant
from tests.oracle import Outcome, Presented, Token, outcome
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

CASES = int(os.environ.get("CASES", "1000"))
CALLS = 10
"""How many cases each contract is tried with."""

SCOPES = ("a", "b", "c")
DECLARED = {scope: scope for scope in SCOPES}
FLOWS = {"clientCredentials": {"tokenUrl": "https://tenant.example.com/token", "scopes": DECLARED}}
TOKENS = {"x-tokenInfoFunc": "security.token_info"}
SCHEMES: dict[str, dict[str, Any]] = {
    "users": {"type": "oauth2", "flows": FLOWS, **TOKENS},
    "machines": {"type": "oauth2", "flows": FLOWS, **TOKENS},
    "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://tenant.example.com/", **TOKENS},
    "bearer": {"type": "http", "scheme": "Bearer", "x-bearerInfoFunc": "security.token_info"},
    "basic": {"type": "http", "scheme": "basic", "x-basicInfoFunc": f"{__name__}.password_info"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": f"{__name__}.key_info"},
    "query": {"type": "apiKey", "in": "query", "name": "key", "x-apikeyInfoFunc": f"{__name__}.key_info"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "key", "x-apikeyInfoFunc": f"{__name__}.key_info"},
}
WITH_SCOPES = ("users", "machines", "oidc")
TAKE_TOKENS = {*WITH_SCOPES, "bearer"}


def key_info(apikey: str) -> dict[str, str] | None:
    return {"sub": "somebody"} if apikey == "good" else None


def password_info(username: str, password: str) -> dict[str, str] | None:
    return {"sub": username} if password == "good" else None


def handler() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    with Tenant().running() as tenant:
        yield tenant


scopes = st.frozensets(st.sampled_from(SCOPES))
needed = st.lists(st.sampled_from(SCOPES), unique=True)


@st.composite
def alternatives(draw: st.DrawFn) -> dict[str, list[str]]:
    names = draw(st.lists(st.sampled_from(list(SCHEMES)), unique=True, max_size=3))
    return {name: draw(needed) if name in WITH_SCOPES else [] for name in names}


security = st.lists(alternatives(), max_size=3)
texts = st.sampled_from(["1", "2", 1, 0, True, False])
NAMES = ("org", "app.plan", "https://example.com/app.tier", "a.b.c")
claims = st.fixed_dictionaries(
    {},
    optional={
        "org": texts | st.lists(texts, max_size=2),
        "app": texts | st.fixed_dictionaries({}, optional={"plan": texts | st.lists(texts), "tier": texts}),
        "https://example.com/app": st.fixed_dictionaries({}, optional={"tier": texts | st.lists(texts, max_size=3)}),
        "https://example.com/app.tier": texts,
        "a": st.just({"b": {"c": "1"}, "b.c": 1}) | texts,
        "a.b": st.just({"c": "2"}),
    },
)


@st.composite
def claim_rules(draw: st.DrawFn, names: Sequence[str], *, path: bool = False) -> dict[str, Any]:
    keywords: list[st.SearchStrategy[dict[str, Any]]] = [
        st.fixed_dictionaries({"equals": texts}),
        st.fixed_dictionaries({"oneOf": st.lists(texts, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"contains": texts | st.lists(texts, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"containsOneOf": st.lists(texts, min_size=1, max_size=2)}),
    ]
    if path:
        keywords += [st.just({"equalsPathParameter": "z"})] * 4
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return {name: draw(draw(st.sampled_from(keywords))) for name in chosen}


presented = st.builds(
    Presented,
    st.one_of(
        st.none(),
        st.booleans(),
        st.just("malformed"),
        st.builds(Token, st.sampled_from([True, True, True, False]), scopes, claims),
    ),
    st.dictionaries(st.sampled_from(["header", "query", "cookie"]), st.booleans()),
)


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path in ("/x", "/y/{z}"):
        operation: dict[str, Any] = {
            "responses": {"200": {"description": "JSON.", "content": {"application/json": {}}}}
        }
        operation["operationId"] = f"{__name__}.handler"
        if draw(st.booleans()):
            operation["security"] = draw(security)
            takes = all(TAKE_TOKENS.intersection(each) for each in operation["security"] or [()])
            if takes and draw(st.booleans()):
                operation["x-claims"] = draw(claim_rules(NAMES[:2], path="{z}" in path))
        paths[path] = {"get": operation}
    paths["/y/{z}"]["get"]["operationId"] = f"{__name__}.another"
    paths["/y/{z}"]["parameters"] = [{"name": "z", "in": "path", "required": True, "schema": {"type": "string"}}]
    document: dict[str, Any] = {
        "openapi": draw(st.sampled_from(["3.0.3", "3.1.0"])),
        "info": {"title": "T", "version": "1"},
    }
    document |= {"paths": paths, "components": {"securitySchemes": SCHEMES}}
    document |= {"security": draw(security)} if draw(st.booleans()) else {}
    return document | ({"x-claims": draw(claim_rules(NAMES[2:]))} if draw(st.booleans()) else {})


def another(z: str) -> dict[str, str]:
    return {"z": z}


def sent(presented: Presented, tenant: Tenant) -> dict[str, Any]:
    """The header fields and the query that a client presents its credentials in."""
    headers: dict[str, str] = {}
    match presented.authorization:
        case Token(valid, granted, said):
            audience = AUDIENCE if valid else "another"
            headers["Authorization"] = f"Bearer {tenant.token(scope=' '.join(sorted(granted)), aud=audience, **said)}"
        case bool(right):
            password = base64.b64encode(f"ada:{'good' if right else 'bad'}".encode()).decode()
            headers["Authorization"] = f"Basic {password}"
        case "malformed":
            headers["Authorization"] = "Bearer"
    values = {name: "good" if right else "bad" for name, right in presented.keys.items()}
    headers |= {"X-Key": values["header"]} if "header" in values else {}
    headers |= {"Cookie": f"key={values['cookie']}"} if "cookie" in values else {}
    return {"headers": headers, "params": {"key": values["query"]} if "query" in values else {}}


def seen(status: int, headers: Mapping[str, str]) -> Outcome:
    """What a client sees of an answer."""
    _, _, challenge = headers.get("www-authenticate", "").partition("Bearer ")
    attributes = dict(each.partition("=")[::2] for each in parse_list_header(challenge))
    scope = attributes.get("scope", "").strip('"')
    error = attributes.get("error", "").strip('"')
    return Outcome(status, error or None, frozenset(scope.split()) if status == 403 else frozenset())


def agree(tenant: Tenant, mode: str, cases: int) -> None:
    """Try so many cases.

    Raises:
        AssertionError: The application lets in others than the oracle.
    """
    configuration = Settings(issuers=(tenant.url,), audience=AUDIENCE, development=mode == "run")
    calls = st.lists(st.tuples(st.sampled_from(["/x", "/y/{z}"]), presented), min_size=CALLS, max_size=CALLS)

    @settings(max_examples=max(cases // CALLS, 1), deadline=None, suppress_health_check=list(HealthCheck), **FIXED)
    @given(contracts(), calls)
    def check(document: dict[str, Any], calls: list[tuple[str, Presented]]) -> None:
        with TemporaryDirectory() as folder:
            spec = Path(folder) / "openapi.json"
            spec.write_text(json.dumps(document))
            client = create_app(configuration, specification=spec).test_client()
        for path, who in calls:
            client.cookies.clear()
            answer = client.get(path.replace("{z}", "1"), **sent(who, tenant))
            assert seen(answer.status_code, answer.headers) == outcome(document, "get", path, who, {"z": "1"}), (
                path,
                who,
            )

    check()


FIXED: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],
    "report_multiple_bugs": False,
}


@pytest.mark.parametrize("mode", ["run", "serve"])
def test_application_lets_in_whom_the_oracle_does(tenant: Tenant, mode: str) -> None:
    agree(tenant, mode, CASES // 2)


@pytest.mark.parametrize("mutant", [*REQUIREMENTS, *CLAIMS_REQUIRED], ids=lambda mutant: mutant.what)
def test_oracle_notices_what_is_wrong(tenant: Tenant, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.change(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        agree(tenant, "serve", 2_000)
