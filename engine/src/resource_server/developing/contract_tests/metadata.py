"""The metadata of the protected resource, where a server has any (RFC 9728)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import click
import httpx

from resource_server.developing.contract_tests.results import AUTHORIZATION, Result, Verdict
from resource_server.networks import is_local
from resource_server.tokens.resource import WELL_KNOWN

Metadata = Mapping[str, Any]


def resource_metadata(url: str) -> Metadata:
    """The metadata of the API at a URL; empty if it has none.

    Raises:
        click.ClickException: It takes tokens of a kind that can't be tested.
    """
    try:
        answer = httpx.get(url.rstrip("/") + WELL_KNOWN, trust_env=not is_local(url))
        metadata = answer.json() if answer.is_success else {}
    except (httpx.HTTPError, ValueError):
        return {}
    if not isinstance(metadata, dict):
        return {}
    if metadata.get("dpop_bound_access_tokens_required") is True:
        raise click.ClickException(
            "The API takes bound tokens only (DPoP), and most of these tests present others. Test it with DPOP=allowed."
        )
    return metadata


def takes_proofs(metadata: Metadata, url: str) -> bool:
    """Whether bound tokens are taken, with proofs that are made for this URL."""
    algorithms = metadata.get("dpop_signing_alg_values_supported")
    return isinstance(algorithms, list) and "ES256" in algorithms and _is_of(metadata, url)


def checked(metadata: Metadata, url: str, issuer: str, scopes: Collection[str]) -> Iterator[Result]:
    """What a client would make of the metadata, if there is any (RFC 9728, sections 2 and 3.3)."""
    if not metadata:
        return
    if _is_of(metadata, url):
        details = tuple(_deviations(metadata, issuer, scopes))
        verdict = Verdict.FAILED if details else Verdict.PASSED
    else:
        details = (f"the API is to be reached at {metadata.get('resource')!r}, for which its metadata and proofs are",)
        verdict = Verdict.NOT_RUN
    name, expected = "protected resource metadata", "leads to tokens"
    yield Result(AUTHORIZATION, f"GET {WELL_KNOWN}", name, expected, verdict, details, required=False)


def _is_of(metadata: Metadata, url: str) -> bool:
    return str(metadata.get("resource")).rstrip("/") == url.rstrip("/")


def _deviations(metadata: Metadata, issuer: str, scopes: Collection[str]) -> Iterator[str]:
    servers, supported = metadata.get("authorization_servers"), metadata.get("scopes_supported", list(scopes))
    if not isinstance(servers, list) or issuer not in servers:
        yield f"authorization_servers doesn't name {issuer}"
    if not isinstance(supported, list) or any(scope not in supported for scope in scopes):
        yield f"scopes_supported doesn't name all of {' '.join(scopes)}"
