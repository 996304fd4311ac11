"""Nonces: known to all machines with the same secret, new every 150 seconds, good for twice as long."""

import re
from pathlib import Path

import pytest

from resource_server.tokens.credentials import Credentials
from resource_server.tokens.dpop import DPoP
from resource_server.tokens.errors import Flaw, InvalidProof
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import SQLiteReplayCache
from tests.proofs import Prover

SECRET = b"a secret that all machines share"


def at(seconds: float, secret: bytes = SECRET) -> Nonces:
    return Nonces(secret, lambda: seconds)


def test_nonce_stands_in_a_header_field_as_it_is() -> None:
    """RFC 9449, section 8.1: NQCHAR."""
    assert re.fullmatch(r"[\x21\x23-\x5B\x5D-\x7E]{24}", at(0).current())


@pytest.mark.parametrize("age", [0, 1, 149, 150, 299])
def test_nonce_is_good_for_two_steps(age: int) -> None:
    assert at(15_000 + age).accepts(at(15_000).current())


@pytest.mark.parametrize("age", [300, 3_000, -151])
def test_older_or_later_nonce_is_refused(age: int) -> None:
    assert not at(15_000 + age).accepts(at(15_000).current())


def test_nonce_of_a_machine_whose_clock_is_a_little_ahead_is_accepted() -> None:
    assert at(15_149).accepts(at(15_150).current())


def test_nonce_is_new_with_each_step_and_the_same_within_one() -> None:
    assert at(15_000).current() == at(15_149.9).current()
    assert len({at(150 * step).current() for step in range(1_000)}) == 1_000


def test_machines_with_one_secret_accept_each_others_nonces_and_no_others() -> None:
    assert at(0).accepts(at(0, bytes(SECRET)).current())
    assert not at(0).accepts(at(0, SECRET[::-1]).current())


@pytest.mark.parametrize("nonce", ["", " ", "0", "x" * 100_000, "é", "\ud800", "\0", "=" * 24])
def test_what_is_no_nonce_is_refused(nonce: str) -> None:
    assert not at(0).accepts(nonce)


@pytest.mark.parametrize("changed", [str.lower, str.upper, lambda nonce: nonce[:-1], lambda nonce: nonce + "="])
def test_changed_nonce_is_refused(changed: object) -> None:
    assert callable(changed)
    assert not at(0).accepts(changed(at(0).current()))


def test_clock_before_the_epoch_makes_nonces_too() -> None:
    assert at(-1).accepts(at(-1).current())


def test_proof_without_a_nonce_is_refused_for_that_flaw(tmp_path: Path) -> None:
    prover, url = Prover(), "https://api.example.com/items"
    proof = prover.forged("GET", url, "token")
    dpop = DPoP(SQLiteReplayCache(tmp_path / "proofs.sqlite3"), nonces=at(15_000))
    with pytest.raises(InvalidProof) as refused:
        dpop.check(Credentials("DPoP", "token", (proof,), "GET", url), prover.cnf["jkt"])
    assert (refused.value.refusal, refused.value.error) == (Flaw.NONCE, "use_dpop_nonce")
    assert refused.value.headers["DPoP-Nonce"] == at(15_000).current()
