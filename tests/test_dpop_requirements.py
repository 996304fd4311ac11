"""A proof is used once, whatever combination of requirements an operation has."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from api.app import create_app
from api.background import in_background
from api.settings import Settings
from tests.proofs import Prover
from tests.replaying import PUBLIC_URL, served
from tests.tenant import AUDIENCE, Tenant

SPEC: dict[str, Any] = yaml.safe_load("""
openapi: 3.0.3
info: {title: Requirements, version: "1"}
components:
  securitySchemes:
    oauth2:
      type: oauth2
      x-tokenInfoFunc: security.token_info
      flows: {clientCredentials: {tokenUrl: "https://issuer.example/token", scopes: {read: Read., write: Write.}}}
    key: {type: apiKey, in: header, name: X-Key, x-apikeyInfoFunc: proven_handlers.key}
paths:
  /either:
    get:
      operationId: proven_handlers.either
      security: [{oauth2: [write]}, {oauth2: [read]}]
      responses: {"200": {description: It., content: {application/json: {}}}}
  /both:
    get:
      operationId: proven_handlers.both
      security: [{oauth2: [read], key: []}]
      responses: {"200": {description: It., content: {application/json: {}}}}
""")

HANDLERS = """
async def key(key: str, required_scopes: object = None) -> dict[str, str]:
    return {"sub": key}

def either() -> dict[str, str]:
    return {}

def both() -> dict[str, str]:
    return {}
"""


@pytest.fixture(scope="module", params=["production", "development"])
def url(request: pytest.FixtureRequest, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("proven")
    (folder / "proven_handlers.py").write_text(HANDLERS)
    spec = folder / "openapi.yaml"
    spec.write_text(yaml.safe_dump(SPEC))
    if request.param == "production":
        with served(tenant, folder, spec=spec) as url:
            yield url
        return
    given = Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=spec, public_url=PUBLIC_URL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with in_background(create_app(given)) as url:
            yield url


@pytest.mark.parametrize("path", ["/either", "/both"])
@pytest.mark.parametrize("further", [{}, {"Content-Length": "0"}])
def test_request_uses_its_proof_once(url: str, tenant: Tenant, path: str, further: dict[str, str]) -> None:
    """Not for each alternative, nor again when it moves to the event loop for the sake of another scheme."""
    prover = Prover()
    token = tenant.token(cnf=prover.cnf, scope="read")
    headers = {**prover.headers(PUBLIC_URL + path, token), "X-Key": "key", **further}
    statuses = [httpx.get(url + path, headers=headers, trust_env=False).status_code for _ in range(2)]
    assert statuses[0] == 200
    assert statuses[1] in (401, 403)


def test_proof_is_for_one_request_although_its_token_lacks_a_scope(url: str, tenant: Tenant) -> None:
    prover = Prover()
    headers = prover.headers(f"{PUBLIC_URL}/either", tenant.token(cnf=prover.cnf, scope="other"))
    answers = [httpx.get(f"{url}/either", headers=headers, trust_env=False) for _ in range(2)]
    assert [answer.json()["code"] for answer in answers] == ["insufficient_scope", "invalid_dpop_proof"]
