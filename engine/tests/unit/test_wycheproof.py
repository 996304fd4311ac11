"""C2SP's Wycheproof: JWSs and keys that have fooled libraries, judged by the pieces that the validator is made of."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.util import urlsafe_b64decode

from resource_server.tokens.errors import InvalidToken
from resource_server.tokens.headers import Accepted, check_header
from resource_server.tokens.jwt import header_of
from resource_server.tokens.keys import ALGORITHMS, verification_keys, verify_signature

_, *GROUPS = map(json.loads, (Path(__file__).parent.parent / "wycheproof.jsonl").read_text().splitlines())
CASES = [(group["file"], group["group"], group["public"], *case) for group in GROUPS for case in group["cases"]]

STRICTER = {
    "hs256": "a MAC would make the verifier able to issue tokens",
    "jws_aes": "a MAC",
    "HS256": "a MAC",
    "HS384": "a MAC",
    "HS512": "a MAC",
    "base64": "MACs",
    "jws_keyset": "a MAC",
    "rfc7520": "a MAC, or another algorithm than the key says (RFC 7517, section 4.4)",
    "rfc7520WithKeyOps": "another algorithm than the key says",
}
"""Groups with cases that are valid, and refused here; the reason."""

NOT_FOUND = {"rejectsKeyWithRocaVulnerability"}
"""Keys that Infineon's chips made weakly: no issuer's has come from one."""


def accepts(jws: str, public: dict[str, Any] | None) -> bool:
    """Whether a signature is right, but for the claims, which these payloads aren't."""
    try:
        header, payload, signature = jws.encode("ascii").split(b".")
        said = header_of(header)
        check_header(said, Accepted(ALGORITHMS))
        keys = verification_keys(public if public and "keys" in public else {"keys": [public]}, [said["alg"]])
        urlsafe_b64decode(payload)
        key = keys[said.get("kid"), said["alg"]]
        return verify_signature(said["alg"], key, header + b"." + payload, urlsafe_b64decode(signature))
    except (InvalidToken, ValueError, LookupError):
        return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[3]}")
def test_case_is_judged_as_it_should_be(case: tuple[str, str, Any, int, str, str, str]) -> None:
    _, group, public, _, comment, jws, result = case
    expected = result == "valid" and group not in STRICTER
    if comment not in NOT_FOUND and not (result == "valid" and group in STRICTER):
        assert accepts(jws, public) == expected


def test_what_differs_differs_for_the_reasons_that_are_given() -> None:
    differing = [case for case in CASES if accepts(case[5], case[2]) != (case[6] == "valid")]
    assert {case[4] for case in differing if case[6] != "valid"} == NOT_FOUND
    assert {case[1] for case in differing if case[6] == "valid"} == STRICTER.keys()
    assert len(CASES) > 450
    assert len(differing) < 25
