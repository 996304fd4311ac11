"""A call of a running API with a token, and its answer, explained."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from resource_server.contract.spec import Contract, base_path, operation_to_try
from resource_server.doctor.advice import advice
from resource_server.doctor.findings import Finding, Verdict, printable, shown
from resource_server.doctor.presenting import Presented
from resource_server.networks import is_local
from resource_server.tokens.errors import Refusal

_SECONDS = 10.0
_LONGEST = 64 * 1024


class NothingToCallError(Exception):
    """The token can't be sent there. The message says why."""


def call(url: str, presented: Presented, contract: Contract) -> Finding:
    """Call an operation that needs a token and no input; what is answered, and what that means.

    Args:
        url: Where the API is, without the path of its first server.
        presented: The token, and its scheme.
        contract: The operations.

    Raises:
        NothingToCallError: No operation is of use, or the token could be read on its way.
    """
    if urlsplit(url).scheme != "https" and not is_local(url):
        raise NothingToCallError("The token could be read on its way: write a URL that starts with https://.")
    found = operation_to_try(contract)
    if found is None or not found.protected:
        raise NothingToCallError("The contract has no operation that needs a token and no input.")
    target = url.rstrip("/") + base_path(contract) + found.path
    name = f"GET {printable(target)}"
    field = f"{presented.scheme} {presented.token}".encode("ascii", "replace")
    try:
        with httpx.Client(timeout=_SECONDS, trust_env=not is_local(url)) as client:
            answer = client.get(target, headers=[(b"Authorization", field)])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        remedy = "Look whether the API runs there, and whether the URL is right."
        # What others say may repeat the header field.
        said = f": {error}" if isinstance(error, httpx.ConnectError) else ""
        why = f"{type(error).__name__}{said}"
        return Finding(name, Verdict.FAILED, why, meaning="There is no answer.", advice=remedy)
    return _explained(name, answer)


def _explained(name: str, answer: httpx.Response) -> Finding:
    challenge = answer.headers.get("www-authenticate", "")
    found = f"{answer.status_code}" + (f", WWW-Authenticate: {printable(challenge)}" if challenge else "")
    if answer.is_success:
        return Finding(name, Verdict.PASSED, found, meaning="The API accepts the token.")
    if answer.is_redirect:
        meaning = (
            f"It redirects to {printable(answer.headers.get('location', ''))}: Authorization gets lost on the way."
        )
        return Finding(name, Verdict.FAILED, found, "", meaning, "Call the URL that it redirects to.")
    problem = _problem(answer)
    if problem is None:
        meaning = "That isn't an answer of this API: something in front of it has answered."
        advised = "Look at the proxy in front, and whether the URL is right."
        return Finding(name, Verdict.FAILED, found, "", meaning, advised)
    detail = printable(str(problem.get("detail", "")))
    refusal = next((each for each in Refusal if detail.startswith(each.value)), None)
    code = str(problem.get("code"))
    advised = (
        advice(refusal, None) if refusal else _ADVICE.get(code, f"docs/troubleshooting.md explains {shown(code)}.")
    )
    return Finding(name, Verdict.FAILED, found, "", refusal.value if refusal else detail, advised)


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
    "insufficient_user_authentication": "Send the user to /authorize again, with acr_values and max_age as challenged.",
    "issuer_unavailable": "Let the API reach its issuer: its log says why it can't.",
    "not_found": "The API serves another contract, or below another path: give --spec, or another URL.",
}
"""By the problem's code, where it is no refusal of the token."""
