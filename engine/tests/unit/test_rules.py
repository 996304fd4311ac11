"""What a contract requires of claims: which values meet a rule, and which only look as if they did."""

import copy
import re
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from resource_server.tokens.claims import claim_at, granted_scopes
from resource_server.tokens.rules import (
    EQUALS_PATH_PARAMETER,
    ClaimRule,
    good_claims,
    rules_of,
    set_claim,
    unmet,
    values_of,
)
from tests.application_mutants import CLAIM_RULES, Mutant
from tests.oracle import has_claims

PATH = {"org_id": "org_1", "number": "7"}


@pytest.mark.parametrize(
    ("keyword", "value", "good", "bad"),
    [
        ("equals", "pro", ["pro"], ["Pro", "pro ", ["pro"], {"pro": True}, None, True, "", "p"]),
        ("equals", True, [True], [1, "true", "True", [True], None, False, 1.0]),
        ("equals", False, [False], [0, "", "false", None, [], 0.0]),
        ("equals", 1, [1, 1.0], [True, "1", [1], 2, None]),
        ("oneOf", ["a", 0], ["a", 0], ["b", False, ["a"], "a,0", None, "", {"a": 0}]),
        ("contains", "admin", [["admin"], ["user", "admin"]],
         ["admin", "admin user", "administrator", [["admin"]], {"admin": True}, [], None, ["administrator"], [True]]),
        ("contains", ["a", "b"], [["b", "a"], ["a", "b", "c"]], [["a"], ["b"], "a b", None, [["a", "b"]]]),
        ("contains", 1, [[1]], [[True], ["1"], 1]),
        ("containsOneOf", ["a", "b"], [["a"], ["x", "b"]], [["c"], [], "a", None, [["a"]], {"a": 1}]),
        (EQUALS_PATH_PARAMETER, "org_id", ["org_1"], ["org_2", "ORG_1", "org_1 ", ["org_1"], None, {"org_1": 1}, ""]),
        (EQUALS_PATH_PARAMETER, "number", ["7", 7], ["07", 7.0, True, [7], "7.0", None, "+7"]),
        (EQUALS_PATH_PARAMETER, "missing", [], ["", None, "None", "missing", False, 0]),
    ],
)  # fmt: skip
def test_what_meets_a_rule(keyword: str, value: Any, good: list[Any], bad: list[Any]) -> None:
    rule = ClaimRule("claim", keyword, value)
    assert [each for each in good if not rule.holds({"claim": each}, PATH)] == []
    assert [each for each in bad if rule.holds({"claim": each}, PATH)] == []
    assert not rule.holds({}, PATH)


@pytest.mark.parametrize(
    ("claims", "name", "value"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a.b": 2, "a": {"b": 1}}, "a.b", 2),
        ({"https://example.com/app": {"plan": "pro"}}, "https://example.com/app.plan", "pro"),
        ({"https://example.com/app.plan": "pro"}, "https://example.com/app.plan", "pro"),
        ({"a": {"b.c": 1}}, "a.b.c", None),  # a member's name may be a user's choice
        ({"a": {"b": {"c": 1}, "b.c": 2}}, "a.b.c", 1),
        ({"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 1),
        ({"a.b": "x", "a": {"b": {"c": 2}}}, "a.b.c", None),
        ({"a": [{"b": 1}]}, "a.0.b", None),
        ({"a": "b"}, "a.b", None),
        ({"a": {"": 1}}, "a.", 1),
        ({}, ".", None),
    ],
)
def test_name_of_a_claim_leads_to_one_value(claims: dict[str, Any], name: str, value: Any) -> None:
    assert claim_at(claims, name) == value


def test_scopes_are_found_below_a_url_too() -> None:
    assert granted_scopes({"https://example.com/app": {"roles": ["a"]}}, "https://example.com/app.roles") == {"a"}


def test_claims_are_told_in_order_and_once() -> None:
    rules = [ClaimRule("b", "equals", 1), ClaimRule("a", "equals", 1), ClaimRule("b", "oneOf", [1])]
    assert unmet(rules, {}, {}) == ["b", "a"]
    assert unmet(rules, {"b": 1, "a": 1}, {}) == []


values = st.sampled_from(["a", "b", 1, 0, True, False, 1.5])
named = st.sampled_from(["x", "x.y", "z", "https://example.com/app.z", "https://example.com"])
a_rule = st.one_of(
    st.builds(ClaimRule, named, st.just("equals"), values),
    st.builds(ClaimRule, named, st.just("oneOf"), st.lists(values, min_size=1)),
    st.builds(ClaimRule, named, st.just("contains"), values | st.lists(values, min_size=1)),
    st.builds(ClaimRule, named, st.just("containsOneOf"), st.lists(values, min_size=1)),
)
rules_ = st.lists(a_rule, max_size=4)


@given(rules_)
def test_good_claims_meet_rules_of_different_claims(rules: list[ClaimRule]) -> None:
    names = [rule.claim for rule in rules]
    assume(len(set(names)) == len(names))
    assert unmet(rules, good_claims(rules, {}), {}) == []


@given(rules_, st.dictionaries(st.sampled_from(["x", "z"]), values))
def test_claims_that_are_good_stay_as_they_are(rules: list[ClaimRule], claims: dict[str, Any]) -> None:
    names = [rule.claim for rule in rules]
    assume(len(set(names)) == len(names) and not {"x", "x.y"} <= set(names))
    before = dict(claims)
    made = good_claims(rules, claims)
    assert claims == before
    kept = {rule.claim for rule in rules if rule.claim in claims and rule.holds(claims, {})}
    assert {name: made[name] for name in kept} == {name: claims[name] for name in kept}


@pytest.mark.parametrize("rules", [
    [ClaimRule("plan", "oneOf", ["a", "b"]), ClaimRule("plan", "equals", "b")],
    [ClaimRule("plan", "oneOf", ["a", "b"]), ClaimRule("plan", "oneOf", ["b", "c"])],
    [ClaimRule("roles", "contains", "a"), ClaimRule("roles", "containsOneOf", ["b", "c"])],
    [ClaimRule("app.roles", "contains", ["a", "b"]), ClaimRule("app.plan", "equals", 1)],
    [ClaimRule("com.example.org.role", "equals", "a"), ClaimRule("com.example.org", "equals", "b")],
])  # fmt: skip
def test_rules_of_one_claim_are_met_together(rules: list[ClaimRule]) -> None:
    assert unmet(rules, good_claims(rules, {}), {}) == []


@pytest.mark.parametrize(
    ("rules", "before", "made"),
    [
        ([ClaimRule("app.roles", "contains", "a")], {"app": {"roles": ["b"]}}, {"app": {"roles": ["b", "a"]}}),
        ([ClaimRule("roles", "contains", ["a", "b"])], {"roles": ["a", "b"]}, {"roles": ["a", "b"]}),
        ([ClaimRule("roles", "containsOneOf", ["a", "b"])], {}, {"roles": ["a"]}),
        ([ClaimRule("plan", "equals", "a"), ClaimRule("plan", "oneOf", ["b"])], {"plan": "c"}, {"plan": "c"}),
        ([ClaimRule("roles", "contains", "a")], {"roles": "a"}, {"roles": "a"}),
        ([ClaimRule("org", EQUALS_PATH_PARAMETER, "org")], {}, {}),
    ],
)
def test_claims_are_added_to_and_never_changed_in_place(
    rules: list[ClaimRule], before: dict[str, Any], made: dict[str, Any]
) -> None:
    given_ = copy.deepcopy(before)
    assert good_claims(rules, given_) == made
    assert given_ == before


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("plan", {"plan": 1}),
        ("realm_access.roles", {"realm_access": {"roles": 1}}),
        ("https://example.com/plan", {"https://example.com/plan": 1}),
        ("https://example.com/app.plan", {"https://example.com/app": {"plan": 1}}),
        ("a/b.c", {"a/b": {"c": 1}}),
        ("a.b/c", {"a.b/c": 1}),
    ],
)
def test_claim_is_set_where_issuers_have_it(name: str, claims: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    set_claim(made, name, 1)
    assert made == claims


@pytest.mark.parametrize(
    ("required", "said"),
    [
        (None, "it must be an object, like `org_id: {equalsPathParameter: org_id}` or `plan: {oneOf: [pro, team]}`"),
        ({}, "it must be an object, like"),
        ({"a": {}}, "say what 'a' must be, like"),
        ({"a": "b"}, "say what 'a' must be, like"),
        ({1: {"equals": 1}}, "1 can't be named in a challenge: use ASCII without quotes and backslashes"),
        ({'a"': {"equals": 1}}, "'a\"' can't be named in a challenge"),
        ({"a": {"equal": 1}}, "'a': 'equal' means nothing: write equals"),
        (
            {"a": {"zzz": 1}},
            "'a': 'zzz' means nothing: write equals or oneOf or contains or containsOneOf or equalsPath",
        ),
        ({"a": {"equals": None}}, "'a': equals takes a text, a number, true or false"),
        ({"a": {"equals": float("inf")}}, "'a': equals takes a text"),
        ({"a": {"oneOf": []}}, "'a': oneOf takes a list, each of it a text, a number, true or false"),
        (
            {"a": {"contains": [[]]}},
            "'a': contains takes a text, a number, true or false, or a list of what must all be",
        ),
        ({"a": {"containsOneOf": "a"}}, "'a': containsOneOf takes a list, each of it a text"),
        ({"a": {EQUALS_PATH_PARAMETER: 1}}, f"'a': {EQUALS_PATH_PARAMETER} takes the name of a parameter in the path"),
    ],
)
def test_rules_that_say_nothing_are_refused(required: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        rules_of(required)


def test_rules_are_read_in_order() -> None:
    required = {"b": {"oneOf": [1], "equals": 1}, "a": {"contains": ["x"]}}
    assert rules_of(required) == [("b", "oneOf", [1]), ("b", "equals", 1), ("a", "contains", ["x"])]


def test_claim_below_what_is_no_object_is_called_by_its_whole_name() -> None:
    claims = {"a": "text"}
    set_claim(claims, "a.b", 1)
    assert claims == {"a": "text", "a.b": 1}
    assert claim_at(claims, "a.b") == 1


@given(named, values)
def test_claim_that_is_set_is_found(name: str, value: Any) -> None:
    claims: dict[str, Any] = {}
    set_claim(claims, name, value)
    assert claim_at(claims, name) is value


def looking_like(value: Any) -> list[Any]:
    """A value, and others that might pass for it."""
    alike = [value, str(value), f" {value}", [value], [[value]], [str(value), 0], {str(value): value}, None]
    is_text = isinstance(value, str) and not value.isdigit()
    return [*alike, *([f"{value}{value}"] if is_text else [bool(value), int(value), float(value)])]


@st.composite
def claims_of(draw: st.DrawFn, rules: list[ClaimRule], path: dict[str, str]) -> dict[str, Any]:
    """Claims of those names, most of them nearly good: as names say it, or with parts of these within others."""
    claims: dict[str, Any] = {}
    for claim, _, value in rules:
        wanted = values_of(path.get(str(value), value))
        found = draw(st.sampled_from([wanted, value, *(each for one in wanted for each in looking_like(one))]))
        if draw(st.booleans()):
            claims[claim] = found
        else:
            set_claim(claims, claim, found)
    return claims


def agree(examples: int) -> None:
    """Compare with the oracle.

    Raises:
        AssertionError: It finds other claims to be good.
    """
    path = {"org": "a", "number": "1"}
    of_path = st.builds(ClaimRule, named, st.just(EQUALS_PATH_PARAMETER), st.sampled_from(["org", "number"]))

    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(st.data(), st.lists(a_rule | of_path, min_size=1, max_size=2))
    def check(data: st.DataObject, rules: list[ClaimRule]) -> None:
        claims = data.draw(claims_of(rules, path))
        for claim, keyword, value in rules:
            expected = has_claims({claim: {keyword: value}}, claims, path)
            assert (unmet([ClaimRule(claim, keyword, value)], claims, path) == []) is expected

    check()


def test_claims_are_good_where_the_oracle_finds_them_so() -> None:
    agree(1_000)


@pytest.mark.parametrize("mutant", CLAIM_RULES, ids=lambda mutant: mutant.what)
def test_oracle_notices_another_comparison(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.change(monkeypatch)
    with pytest.raises(AssertionError):
        agree(3_000)


@pytest.mark.parametrize(("rule", "said"), [
    (ClaimRule("a", "equals", value=True), "`a` is `true`"),
    (ClaimRule("a", "oneOf", [False, 0]), "`a` is one of `false`, `0`"),
    (ClaimRule("a", "oneOf", ["x", 1]), "`a` is one of `x`, `1`"),
    (ClaimRule("a.b", "contains", "x"), "`a.b` is a list with `x`"),
    (ClaimRule("a", "containsOneOf", ["x", "y"]), "`a` is a list with one of `x`, `y`"),
    (ClaimRule("a", EQUALS_PATH_PARAMETER, "org_id"), "`a` is the path's `org_id`"),
])  # fmt: skip
def test_rule_is_said_in_words(rule: ClaimRule, said: str) -> None:
    assert str(rule) == said
