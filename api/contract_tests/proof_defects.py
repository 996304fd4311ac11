"""Every defect that a bound token and its proof can have, for servers that take such (RFC 9449)."""

import time
from collections.abc import Callable
from typing import Any

from api.contract_tests.answers import ACCEPTED, INVALID_TOKEN, Expected
from api.contract_tests.defects import Defect
from api.contract_tests.material import Credentials, Material
from api.contract_tests.proving import Forger

_HOUR = 3_600  # seconds
_INVALID_PROOF = Expected(401, "invalid_dpop_proof", "invalid_dpop_proof", scheme="dpop")
_INVALID_TOKEN = Expected(401, "invalid_token", "invalid_token", scheme="dpop")


def _bound(material: Material, **changes: Any) -> str:
    return material.signed(**{"cnf": material.prover.cnf, **changes})


def proven(name: str, expected: Expected, times: int = 1, **changed: Callable[[], Any]) -> Defect:
    """A bound token with a proof, which has changed claims."""

    def make(material: Material) -> Credentials:
        token = _bound(material)

        def prove(method: str, url: str) -> str:
            asked = {"method": method, "url": url, "token": token}
            return material.prover.forged(**{**asked, **{name: value() for name, value in changed.items()}})

        return Credentials((f"DPoP {token}",), prove=prove, times=times)

    return Defect(name, expected, make, by_issuer=True)


def _as_bearer(material: Material) -> Credentials:
    token = _bound(material)
    return Credentials((f"Bearer {token}",), prove=lambda method, url: material.prover.proof(method, url, token))


def _without_proof(material: Material) -> Credentials:
    return Credentials((f"DPoP {_bound(material)}",))


def _unbound(material: Material) -> Credentials:
    token = material.good
    return Credentials((f"DPoP {token}",), prove=lambda method, url: material.prover.proof(method, url, token))


def _other_key(material: Material) -> Credentials:
    token, other = _bound(material), Forger()
    return Credentials((f"DPoP {token}",), prove=lambda method, url: other.proof(method, url, token))


def _symmetric(material: Material) -> Credentials:
    token = _bound(material)
    jwk = {"kty": "oct", "k": "c2VjcmV0"}
    return Credentials(
        (f"DPoP {token}",), prove=lambda method, url: material.prover.forged(method, url, token, {"jwk": jwk})
    )


PROOF_DEFECTS = (
    proven("a bound token with its proof", ACCEPTED),
    Defect("a bound token as Bearer", INVALID_TOKEN, _as_bearer, by_issuer=True),
    Defect("a bound token without a proof", _INVALID_PROOF, _without_proof, by_issuer=True),
    Defect("a token that isn't bound, with a proof", _INVALID_TOKEN, _unbound),
    Defect("a proof with another key", _INVALID_TOKEN, _other_key, by_issuer=True),
    Defect("a proof with a symmetric key", _INVALID_PROOF, _symmetric, by_issuer=True),
    proven("a proof that has been used", _INVALID_PROOF, times=2),
    proven("a proof for another method", _INVALID_PROOF, method=lambda: "TRACE"),
    proven("a proof for another URL", _INVALID_PROOF, url=lambda: "https://another-api.example.com/"),
    proven("a proof for another token", _INVALID_PROOF, token=lambda: "another"),
    proven("a proof that is too old", _INVALID_PROOF, iat=lambda: int(time.time()) - _HOUR),
    proven("a proof from the future", _INVALID_PROOF, iat=lambda: int(time.time()) + _HOUR),
)
"""What is tried in addition at each protected operation."""
