"""Every defect that a bound token and its proof can have, for servers that take such (RFC 9449)."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from resource_server.developing.contract_tests.answers import ACCEPTED, INVALID_TOKEN, Expected
from resource_server.developing.contract_tests.defects import Defect
from resource_server.developing.contract_tests.forging import ABSENT
from resource_server.developing.contract_tests.material import Credentials, Material
from resource_server.developing.contract_tests.proving import Forger

_HOUR = 3_600  # seconds
_INVALID_PROOF = Expected(401, "invalid_dpop_proof", "invalid_dpop_proof", scheme="dpop")
_INVALID_TOKEN = Expected(401, "invalid_token", "invalid_token", scheme="dpop")

Header = Callable[[Material], Mapping[str, Any]]
Claims = Mapping[str, Callable[[str], Any]]


def _bound(material: Material) -> str:
    return material.signed({"cnf": material.prover.cnf})


def presented(
    material: Material,
    *,
    scheme: str = "DPoP",
    token: str | None = None,
    prover: Forger | None = None,
    proofs: int = 1,
    header: Header = lambda _: {},
    times: int = 1,
    claims: Claims = MappingProxyType({}),
) -> Credentials:
    """A token and proofs for it.

    Args:
        material: What both are made from.
        scheme: How the token is presented.
        token: The token; by default one that is bound to the material's key.
        prover: Makes the proofs; by default the holder of that key.
        proofs: How many there are.
        header: Members in place of good ones.
        times: How often all of it is sent.
        claims: Make claims in place of good ones, from the URL.
    """
    sent = token or _bound(material)

    def prove(method: str, url: str) -> list[str]:
        changed = {name: make(url) for name, make in claims.items()}
        forger = prover or material.prover
        return [forger.forged(method, url, sent, header(material), **changed) for _ in range(proofs)]

    return Credentials((f"{scheme} {sent}",), prove=prove, times=times)


def proof(name: str, header: Header = lambda _: {}, **claims: Callable[[str], Any]) -> Defect:
    """A bound token whose proof must be refused."""
    return Defect(name, _INVALID_PROOF, lambda m: presented(m, header=header, claims=claims), by_issuer=True)


def _private_jwk(material: Material) -> Mapping[str, Any]:
    return {"jwk": material.prover.key.as_dict(private=True)}


PROOF_DEFECTS = (
    Defect("a bound token with its proof", ACCEPTED, presented, by_issuer=True),
    Defect("a bound token as Bearer", INVALID_TOKEN, lambda m: presented(m, scheme="Bearer"), by_issuer=True),
    Defect("a bound token without a proof", _INVALID_PROOF, lambda m: presented(m, proofs=0), by_issuer=True),
    Defect("a bound token with two proofs", _INVALID_PROOF, lambda m: presented(m, proofs=2), by_issuer=True),
    Defect("a token that isn't bound, with a proof", _INVALID_TOKEN, lambda m: presented(m, token=m.good)),
    Defect("a proof with another key", _INVALID_TOKEN, lambda m: presented(m, prover=Forger()), by_issuer=True),
    Defect(
        "a proof signed with another key than its own",
        _INVALID_PROOF,
        lambda m: presented(m, prover=Forger(), header=lambda m: {"jwk": m.prover.jwk}),
        by_issuer=True,
    ),
    Defect("a proof that has been used", _INVALID_PROOF, lambda m: presented(m, times=2), by_issuer=True),
    proof("a proof with a symmetric key", lambda _: {"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
    proof("a proof with the private key", _private_jwk),
    proof("a proof of another type", lambda _: {"typ": "JWT"}),
    proof("a proof for another method", htm=lambda _: "TRACE"),
    proof("a proof for another host", htu=lambda url: url.replace("://", "://another.", 1)),
    proof("a proof for another path", htu=lambda url: f"{url}/another"),
    proof("a proof for another token", ath=lambda _: "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
    proof("a proof for no token", ath=lambda _: ABSENT),
    proof("a proof without an id", jti=lambda _: ABSENT),
    proof("a proof that is too old", iat=lambda _: int(time.time()) - _HOUR),
    proof("a proof from the future", iat=lambda _: int(time.time()) + _HOUR),
)
"""What is tried in addition at each protected operation."""
