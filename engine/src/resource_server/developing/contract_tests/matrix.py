"""The authorization matrix: every operation of a contract, with every defect that credentials can have."""

import copy
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

from resource_server.developing.contract_tests.answers import ACCEPTED, MISSING, Expected, deviations
from resource_server.developing.contract_tests.conformance import conforming, sentence
from resource_server.developing.contract_tests.defects import DEFECTS, GOOD, NONE, Defect, claim, field
from resource_server.developing.contract_tests.material import Credentials, Material, secrets_in
from resource_server.developing.contract_tests.operations import ANY_CALLER, Caller, Requirements
from resource_server.developing.contract_tests.proof_defects import PROOF_DEFECTS
from resource_server.developing.contract_tests.results import AUTHORIZATION, NotRun, Result, Verdict, redacted
from resource_server.developing.contract_tests.schema import Request
from resource_server.developing.contract_tests.trust import Trust
from resource_server.tokens.rules import ClaimRule, set_claim, values_of

_PROBE = "contract:probe"
"""A scope that no API asks for, which no refusal may echo."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation with one defect.

    Args:
        operation: Its method and path.
        defect: What is wrong with the credentials.
        scopes: What the token grants.
        bearer: Whether the operation takes bearer tokens.
        caller: What the token must say of who calls.
    """

    operation: str
    defect: Defect
    scopes: tuple[str, ...]
    bearer: bool = True
    caller: Caller = ANY_CALLER


def rows(requirements: Mapping[str, Requirements], *, proofs: bool = False) -> Iterator[Row]:
    """The matrix of operations, by what they require; with bound tokens and their proofs, if such are taken."""
    for operation, required in requirements.items():
        if not required.bearer:
            yield Row(operation, _for(NONE, required), (), bearer=False)
            continue
        scopes = tuple(sorted(required.alternatives[0])) if required.alternatives else ()
        for defect in (*DEFECTS, *(PROOF_DEFECTS if proofs else ()), *_caller_defects(required.caller)):
            yield Row(operation, _for(defect, required), scopes, caller=required.caller)
        for alternative in required.alternatives[1:]:
            yield Row(operation, GOOD, tuple(sorted(alternative)), caller=required.caller)
        yield from _scope_rows(operation, required)


def _caller_defects(caller: Caller) -> Iterator[Defect]:
    """Tokens whose login (RFC 9470, section 3) or other claims aren't what an operation requires."""
    params = {"acr_values": caller.acr_values, "max_age": caller.max_age}
    named = tuple((name, str(value)) for name, value in params.items() if value is not None)
    error = "insufficient_user_authentication"
    expected = Expected(401, error, error, params=named)
    if caller.acr_values is not None:
        yield replace(claim("logged in too weakly", acr=lambda: "none of these"), expected=expected)
    if caller.max_age is not None:
        long_ago = caller.max_age + _LONG
        yield replace(claim("logged in too long ago", auth_time=lambda: int(time.time()) - long_ago), expected=expected)
    yield from _rule_defects(caller)


def _rule_defects(caller: Caller) -> Iterator[Defect]:
    """A claim at a time isn't what it must be."""
    good = caller.claims()
    for rule in caller.rules:
        for name, value in _bad_values(rule):
            bad = copy.deepcopy(good)
            set_claim(bad, rule.claim, value)
            changes = {claim: partial(bad.get, claim) for claim in bad if bad[claim] != good.get(claim)}
            yield replace(claim(name, **changes), expected=_INSUFFICIENT_CLAIMS)


def _bad_values(rule: ClaimRule) -> Iterator[tuple[str, Any]]:
    """Values that a rule must refuse, and what to call them."""
    if rule.keyword in ("contains", "containsOneOf"):
        yield f"{rule.claim} as a text", " ".join(map(str, values_of(rule.value)))
    if rule.keyword == "contains":
        values = values_of(rule.value)
        for each in values:
            others = [other for other in values if other is not each]
            yield f"{rule.claim} without {each}", [*others, _PROBE]
        return
    another = [_PROBE] if rule.keyword == "containsOneOf" else _PROBE
    yield f"another {rule.claim}", another
    if rule.claim != "sub":  # without which it is no access token
        yield f"without {rule.claim}", None


_INSUFFICIENT_CLAIMS = Expected(403, "insufficient_claims", "insufficient_claims")


def _for(defect: Defect, required: Requirements) -> Defect:
    """The defect, with what an operation must answer to it."""
    if required.optional and defect.expected == MISSING:
        return replace(defect, expected=ACCEPTED)
    if required.bearer and not required.alternatives and defect is not NONE:
        return replace(defect, make=partial(_more_needed, others=required.others))
    return defect


def _more_needed(_: Material, others: Sequence[str]) -> Credentials:
    raise NotRun(f"it needs credentials for {', '.join(others)} as well")


def _scope_rows(operation: str, required: Requirements) -> Iterator[Row]:
    """A row for each scope without which a token meets no alternative."""
    named = tuple(" ".join(sorted(alternative)) for alternative in required.alternatives)
    expected = Expected(403, "insufficient_scope", "insufficient_scope", tuple(filter(None, named)))
    for alternative in required.alternatives:
        for scope in sorted(alternative):
            rest = alternative - {scope}
            if not any(rest >= other for other in required.alternatives):
                lacking = partial(_lacking, required.alternatives)
                defect = Defect(f"without {scope}", expected, lacking, by_issuer=True)
                yield Row(operation, defect, tuple(sorted(rest)), caller=required.caller)


def _lacking(alternatives: Sequence[frozenset[str]], material: Material) -> Credentials:
    try:
        token = material.signed({"scope": " ".join([*material.scopes, _PROBE])})
    except NotRun:
        token = material.signed(without=alternatives)
    return field(f"Bearer {token}")


class Matrix:
    """Runs the rows of a matrix against a server.

    Args:
        trust: What the server trusts.
        requests: A good request for each operation.
        client: What sends them.
        needed: The names of defects that a complete run has; `None` for all.
        successful: Operations that are known to have answered a good request with success.
    """

    def __init__(
        self,
        trust: Trust,
        requests: Mapping[str, Request],
        client: httpx.Client,
        *,
        needed: Collection[str] | None = None,
        successful: Collection[str] = (),
    ) -> None:
        self._trust = trust
        self._requests = requests
        self._client = client
        self._needed = needed
        self._successful = set(successful)
        self._materials: dict[tuple[tuple[str, ...], str], Material] = {}
        self._undeclared: dict[str, set[str]] = {}
        self._unanswered = 0

    def run(self, row: Row) -> Result:
        """Send one row's request and hold the answer against what is expected."""
        key = row.scopes, repr(row.caller)
        material = self._materials.setdefault(key, Material(self._trust, row.scopes, row.caller))
        credentials = Credentials()
        try:
            credentials = row.defect.make(material)
            found = tuple(self._deviations(row, credentials, material))
        except NotRun as reason:
            found, verdict = (str(reason),), Verdict.NOT_RUN
        else:
            verdict = Verdict.FAILED if found else Verdict.PASSED
        secrets = credentials.secrets | secrets_in(self._trust.secrets)
        return self._result(row, verdict, tuple(redacted(detail, secrets) for detail in found))

    def left_out(self, row: Row, why: str) -> Result:
        """That a row isn't run."""
        return self._result(row, Verdict.NOT_RUN, (why,))

    def _result(self, row: Row, verdict: Verdict, details: tuple[str, ...]) -> Result:
        required = self._needed is None or not row.defect.by_issuer or row.defect.name in self._needed
        expected = str(row.defect.expected)
        return Result(AUTHORIZATION, row.operation, row.defect.name, expected, verdict, details, required)

    def forms(self) -> Iterator[Result]:
        """Whether the answers of all rows that were run had the forms that the contract declares."""
        for operation, undeclared in self._undeclared.items():
            yield conforming(operation, "answers to the matrix", undeclared)

    def _deviations(self, row: Row, credentials: Credentials, material: Material) -> Iterator[str]:
        request, expected = self._requests[row.operation], row.defect.expected
        try:
            response = self._send(request, credentials)
            if credentials.prove and (nonce := response.headers.get("dpop-nonce")):
                material.prover.nonce = nonce
                if "use_dpop_nonce" in response.headers.get("www-authenticate", ""):
                    response = self._send(request, credentials)
        except httpx.HTTPError as error:
            self._unanswered += 1
            yield f"there is no answer: {type(error).__name__}: {error}"
            return
        self._unanswered = 0
        if expected == ACCEPTED:
            yield from self._not_accepted(row.operation, response.status_code)
        else:
            yield from deviations(response, expected, bearer=row.bearer, codes=request.codes(response.status_code))
        # Apart from the row's own result: the right refusal and the right form are two things.
        undeclared = (sentence(failure, credentials.secrets) for failure in request.undeclared(response))
        self._undeclared.setdefault(row.operation, set()).update(undeclared)
        said = response.text + str(response.headers)
        if _PROBE in said:
            yield "the answer echoes the token's own scopes"
        if any(secret in said for secret in credentials.secrets):
            yield "the answer repeats the credentials"

    def _not_accepted(self, operation: str, status: int) -> Iterator[str]:
        request = self._requests[operation]
        redirects = 300 <= status < 400 and str(status) in request.responses
        if 200 <= status < 300 or redirects:
            self._successful.add(operation)
            return
        if status in _BY_DATA and str(status) in request.responses and operation in self._successful:
            return  # it has been authorized: the one before has deleted or made what this one is about
        if request.made_up and status in _NOT_THERE:
            if operation not in self._successful:
                raise NotRun(f"made-up input is answered with {status}: give the input in the contract examples")
            return
        yield f"a good request is answered with {status}"

    def _send(self, request: Request, credentials: Credentials) -> httpx.Response:
        if self._unanswered >= _PATIENCE:
            raise NotRun("the server doesn't answer any more")
        self._client.cookies.clear()  # credentials of another row's
        url = httpx.URL(request.url)
        if credentials.query is not None:
            url = url.copy_add_param("access_token", credentials.query)
        headers = [*request.headers, *(("Authorization", value) for value in credentials.fields)]
        if credentials.prove:
            proofs = credentials.prove(request.method, str(url.copy_with(query=None)))
            headers += (("DPoP", proof) for proof in proofs)
        for _ in range(credentials.times):
            response = self._client.request(request.method, url, headers=headers, content=request.body)
        return response


_BY_DATA = (404, 409, 410, 412, 428)  # what depends on what there is
_NOT_THERE = (400, 404, 409, 410, 412, 415, 422)  # what may be answered to input that was made up
_LONG = 3_600  # seconds, more than clocks differ by
_PATIENCE = 3  # rows in sequence without an answer
