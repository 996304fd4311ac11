"""docs/troubleshooting.md explains what the API can say, all of it and nothing else."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from connexion.exceptions import BadRequestProblem, OAuthProblem, UnsupportedMediaTypeProblem

from resource_server.doctor.advice import ADVICE
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from resource_server.tokens.errors import Flaw, InsufficientClaims, InsufficientScope, Refusal, SecurityError
from resource_server.tokens.statuses import code
from tests.processes import DOCS, ENGINE, TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE, Tenant

GUIDE = (DOCS / "troubleshooting.md").read_text()
CODES = dict(re.findall(r"(?m)^### `(\w+)` \((\d{3})\)$", GUIDE))
QUOTED = re.findall(r"(?m)^> (.*)$", GUIDE)
LACKING = InsufficientScope("").description, InsufficientClaims([]).description
SHOP = TESTS / "shop"
SOURCES = list((ENGINE / "src").rglob("*.py"))


def table(heading: str) -> list[str]:
    """The first cells of the table below a heading."""
    return re.findall(r"(?m)^\| (?!---|it says)(.*?) \|", GUIDE.partition(heading)[2].partition("\n#")[0])


def refusals(of: type[SecurityError] = SecurityError) -> Iterator[type[SecurityError]]:
    """What the security layer refuses with."""
    for each in of.__subclasses__():
        yield each
        yield from refusals(each)


def sentences() -> list[str]:
    """Every text in the application's sources; one with values in it as the parts between them."""
    trees = [ast.parse(path.read_text()) for path in SOURCES]
    constants = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def test_every_code_is_explained_and_no_other() -> None:
    sources = "\n".join(path.read_text() for path in SOURCES)
    statuses = {int(status) for status in re.findall(r"(?:HTTPException|problem)\((\d{3})", sources)}
    # What Connexion raises when it has validated a request, or credentials of other schemes than OAuth2.
    statuses |= {error().status_code for error in (BadRequestProblem, UnsupportedMediaTypeProblem, OAuthProblem)}
    known = {code(status): status for status in statuses}
    known |= {refusal.error: int(refusal.status_code) for refusal in refusals() if refusal.error}
    known |= dict.fromkeys(re.findall(r'"code": "(\w+)"', sources), 503)
    assert {code: int(status) for code, status in CODES.items()} == known


def test_every_refusal_of_a_token_is_explained_and_no_other() -> None:
    rows = table("### `invalid_token`")
    assert sorted(rows) == sorted(refusal.value for refusal in Refusal)


def test_doctor_advises_what_the_guide_does() -> None:
    part = GUIDE.partition("### `invalid_token`")[2].partition("\n#")[0]
    rows = dict(re.findall(r"(?m)^\| (?!---|it says)(.*?) \| (.*) \|$", part))
    assert {refusal.value: advice for refusal, advice in ADVICE.items()} == rows


def test_every_refusal_of_a_proof_is_explained_and_no_other() -> None:
    rows = table("### `invalid_dpop_proof`")
    assert sorted(rows) == sorted(flaw.value for flaw in Flaw if flaw is not Flaw.NONCE)  # an error of its own


def test_quoted_sentences_are_those_of_the_application() -> None:
    said = sentences()
    assert [quoted for quoted in QUOTED if quoted not in said and not quoted.startswith(LACKING)] == []


@pytest.mark.parametrize("row", table("## Commands that don't start"))
def test_errors_of_commands_are_those_of_the_application(row: str) -> None:
    parts = [part for part in row.strip("`").split("…") if part]
    said = "\0".join(sentences())
    assert [part for part in parts if part not in said] == []


@pytest.fixture(scope="module")
def shop(tenant: Tenant) -> Iterator[httpx.Client]:
    """A contract with operations of many kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP))
        app = create_app(
            Settings(issuers=(tenant.url, NOWHERE), audience=AUDIENCE, specification=SHOP / "openapi.yaml")
        )
        with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
            yield client


NOWHERE = "http://127.0.0.1:9/"  # discard: nothing listens there
ITEMS = {"scope": "read:items write:items"}
JSON, TEXT = ({"Content-Type": media_type} for media_type in ("application/json", "text/plain"))

Error = tuple[str, dict[str, Any] | str | None, dict[str, Any], str]

# operation, claims of the token or the credentials themselves, what is sent, code
ERRORS: list[Error] = [
    ("GET /v1/items", None, {}, "missing_credentials"),
    ("GET /v1/basic", None, {}, "missing_credentials"),
    ("GET /v1/basic", "Basic YWRhOmJlbg==", {}, "unauthorized"),
    ("GET /v1/items", "Bearer", {}, "invalid_request"),
    ("GET /v1/items", "Bearer x", {}, "invalid_token"),
    ("GET /v1/items", {"scope": ""}, {}, "insufficient_scope"),
    ("GET /v1/items", {"iss": NOWHERE}, {}, "issuer_unavailable"),
    ("GET /v1/nowhere", ITEMS, {}, "not_found"),
    ("PUT /v1/items/5", ITEMS, {}, "method_not_allowed"),
    ("GET /v1/items?limit=x", ITEMS, {}, "bad_request"),
    ("POST /v1/items", ITEMS, {"content": b"\xff", "headers": JSON}, "bad_request"),
    ("POST /v1/items", ITEMS, {"content": "x", "headers": TEXT}, "unsupported_media_type"),
    ("GET /v1/items/500", ITEMS, {}, "internal_server_error"),
]
FOLLOWS_THE_CONTRACT = (
    "The query parameter 'limit': ",
    "The body: ",
    "Content-Type 'text/plain' isn't taken here: ",
    "Provided authorization is not valid",
)
"""How details begin that the guide doesn't quote, because they depend on the contract."""


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error[0]} {error[3]}")
def test_errors_have_the_code_and_the_sentence_of_the_guide(shop: httpx.Client, tenant: Tenant, error: Error) -> None:
    operation, who, sent, code = error
    credentials = f"Bearer {tenant.token(**who)}" if isinstance(who, dict) else who
    headers = {**sent.get("headers", {}), **({"Authorization": credentials} if credentials else {})}
    method, _, path = operation.partition(" ")
    answer = shop.request(method, path, **{**sent, "headers": headers})
    problem = answer.json()
    assert (problem["code"], answer.status_code) == (code, int(CODES[code]))
    said = (*QUOTED, *Refusal)
    assert problem["detail"] in said or problem["detail"].startswith((*LACKING, *FOLLOWS_THE_CONTRACT))


def test_every_code_but_those_of_a_contract_of_limits_and_of_proofs_is_provoked_here() -> None:
    elsewhere = {"contract_error", "request_entity_too_large", "request_timeout", "service_unavailable"}
    elsewhere |= {"invalid_dpop_proof", "use_dpop_nonce", "replays_unavailable", "insufficient_user_authentication"}
    elsewhere |= {"insufficient_claims"}
    assert {code for *_, code in ERRORS} == CODES.keys() - elsewhere
