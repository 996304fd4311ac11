"""What holds of the contract, whatever its operations are."""

from pathlib import Path

from resource_server.testing.contract import breaking_changes, lint_complaints, public_operations, rule_complaints

CONTRACT, RELEASED = Path("openapi.yaml"), Path("tests/released.yaml")


def test_contract_follows_the_rules() -> None:
    assert rule_complaints(CONTRACT) == []


def test_contract_has_no_errors_and_no_warnings() -> None:
    assert lint_complaints(CONTRACT) == []


def test_contract_breaks_nobody_who_calls_its_last_release() -> None:
    assert breaking_changes(CONTRACT, RELEASED) is None


def test_everybody_may_call_these_operations_and_no_others() -> None:
    assert public_operations(CONTRACT) == ["GET /api/public"]
