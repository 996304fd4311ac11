"""A call of a running API with a token, and its answer, explained."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from resource_server.contract.spec import Contract, base_path, operation_to_try
from resource_server.doctor.advice import advice
from resource_server.doctor.findings import Finding, Verdict, failed, not_checked, passed, printable, shown, warning
from resource_server.doctor.kinds import Presented
from resource_server.networks import is_local
from resource_server.tokens.errors import Refusal

_SECONDS = 10.0
_LONGEST = 64 * 1024


class NothingToCallError(Exception):
    """The token can't be sent there. The message says why."""


def call(url: str, presented: Presented, contract: Contract, proof: str | None = None) -> Finding:
    """Call an operation that needs a token and no input; what is answered, and what that means.

    Args:
        url: Where the API is, without the path of its first server.
        presented: The token, and its scheme.
        contract: The operations.
        proof: What is sent in the header field `DPoP`.

    Raises:
        NothingToCallError: The token could be read on its way.
    """
    if not url.lower().startswith("https://") and not is_local(url):
        raise NothingToCallError("The token could be read on its way: write a URL that starts with https://.")
    found = operation_to_try(contract)
    if found is None or not found.protected:
        why = "The contract has no operation that needs a token and no input."
        remedy = "Call one that needs a token yourself, and read the challenge of its answer."
        return not_checked("call", "not called", meaning=why, advice=remedy)
    target = url.rstrip("/") + base_path(contract) + found.path
    name = f"GET {printable(target)}"
    headers = [(b"Authorization", f"{presented.scheme} {presented.token}".encode("ascii", "replace"))]
    headers += [(b"DPoP", proof.encode("ascii", "replace"))] if proof else []
    try:
        with httpx.Client(timeout=_SECONDS, trust_env=not is_local(url)) as client:
            answer = client.get(target, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, ImportError) as error:
        remedy = "Look whether the API runs there, and whether the URL is right."
        # What others say may repeat the header field.
        said = f": {error}" if isinstance(error, httpx.ConnectError | OSError | ImportError) else ""
        why = f"{type(error).__name__}{said}"
        return failed(name, why, "", "There is no answer.", remedy)
    return _explained(name, answer)


def difference(answered: Finding, walked: list[Finding]) -> Iterator[Finding]:
    """What it means if a running API doesn't say what is found here.

    Args:
        answered: What has come of the call.
        walked: What has come of each check, in order.
    """
    if answered.verdict is Verdict.NOT_CHECKED:
        return
    first = next((finding for finding in walked if finding.failed), None)
    ours, theirs = _refusal(first.meaning if first else ""), _refusal(answered.meaning)
    refusal = theirs or ours
    if bool(first) == answered.failed:  # both accept it, or neither does
        if theirs and theirs is not ours:
            yield _differs("Both refuse it, for different reasons.", _SETTINGS.get(theirs, _ALL))
    elif refusal in (Refusal.UNKNOWN_KEY, Refusal.SIGNATURE):
        meaning = "The API holds other keys than the issuer publishes now."
        yield _differs(meaning, "It looks again within a minute or two, if it can reach the issuer: try then.")
    elif refusal in (Refusal.EXPIRED, Refusal.NOT_YET_VALID, Refusal.TOO_OLD):
        yield _differs("The API's clock is another than this machine's, or its settings.", _SETTINGS[refusal])
    elif not first and not theirs:
        meaning = "These settings accept it; what the API answers is no refusal of a token that this version knows."
        yield _differs(meaning, answered.advice)
    else:
        yield _differs("The API has other settings than these.", _SETTINGS.get(refusal, _ALL))


def _refusal(said: str) -> Refusal | None:
    """The refusal that a sentence is, or begins with."""
    return next((each for each in Refusal if said.startswith(each.value)), None)


def _differs(meaning: str, remedy: str) -> Finding:
    return warning("settings", meaning=meaning, advice=remedy)


_ALL = "Compare AUTH0_DOMAIN, AUTH0_AUDIENCE, the other settings of tokens, and the clocks."
_CLOCKS = "Compare the clocks, TOKEN_LEEWAY and TOKEN_MAX_AGE there and here."
_BINDING = "Compare DPOP and PUBLIC_URL there and here."
_CERTIFICATES = "Compare CLIENT_CERTIFICATE_HEADER, TRUSTED_PROXIES and MTLS there and here."
_SETTINGS: dict[Refusal | None, str] = {
    Refusal.ISSUER: "Compare AUTH0_DOMAIN there and here.",
    Refusal.AUDIENCE: "Compare AUTH0_AUDIENCE there and here.",
    Refusal.ALGORITHM: "Compare TOKEN_ALGORITHMS there and here.",
    Refusal.TYPE: "Compare TOKEN_PROFILE there and here.",
    Refusal.CLAIMS: "Compare TOKEN_SUBJECT, TOKEN_PERMISSIONS and TOKEN_PROFILE there and here.",
    **dict.fromkeys((Refusal.EXPIRED, Refusal.NOT_YET_VALID, Refusal.TOO_OLD), _CLOCKS),
    **dict.fromkeys((Refusal.NOT_BOUND, Refusal.SENDER_CONSTRAINED, Refusal.OTHER_BINDING), _BINDING),
    **dict.fromkeys((refusal for refusal in Refusal if "CERTIFICATE" in refusal.name), _CERTIFICATES),
}
"""By refusal, what may be set otherwise."""


def _explained(name: str, answer: httpx.Response) -> Finding:
    challenge = answer.headers.get("www-authenticate", "")
    found = f"{answer.status_code}" + (f", WWW-Authenticate: {printable(challenge)}" if challenge else "")
    if answer.is_success:
        return passed(name, found, meaning="The API accepts the token.")
    if answer.is_redirect:
        location = printable(answer.headers.get("location", ""))
        meaning = f"It redirects to {location}: Authorization gets lost on the way."
        return failed(name, found, "", meaning, "If that is your API, call it there: the token goes where you send it.")
    problem = _problem(answer)
    if problem is None:
        meaning = "That isn't an answer of this API: something in front of it has answered."
        return failed(name, found, "", meaning, "Look at the proxy in front, and whether the URL is right.")
    detail, code = printable(str(problem.get("detail", ""))), str(problem.get("code"))
    if refusal := _refusal(detail):
        return failed(name, found, "", refusal.value, advice(refusal, None))
    return failed(name, found, "", detail, _ADVICE.get(code, f"docs/troubleshooting.md explains {shown(code)}."))


def _problem(answer: httpx.Response) -> dict[str, Any] | None:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        document = json.loads(answer.content[:_LONGEST])
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


_ADVICE = {
    "missing_credentials": "The API has not seen the token: look for what removes Authorization on the way.",
    "invalid_request": "Send one header field, 'Authorization: Bearer <token>', with one token in it.",
    "insufficient_scope": "Request the scope that the challenge names with the token.",
    "insufficient_claims": "Send a token whose claims are what x-claims in the contract says.",
    "insufficient_user_authentication": "Send the user to /authorize again, with acr_values and max_age as challenged.",
    "issuer_unavailable": "Let the API reach its issuer: its log says why it can't.",
    "not_found": "The API serves another contract, or below another path: give --spec, or another URL.",
}
"""By the problem's code, where it is no refusal of the token."""
