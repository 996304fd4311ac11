"""`python -m api token`: access tokens from the development issuer that is running."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click
import httpx

from resource_server.contract.spec import ContractError, base_path, operation_to_try
from resource_server.developing.clients import MACHINE, OIDC_SCOPES
from resource_server.developing.proving import Prover
from resource_server.developing.trying import curl
from resource_server.settings import Settings, development_issuer_url
from resource_server.tokens.nonces import Nonces


class Wanted(NamedTuple):
    """What a token is to say.

    Args:
        scope: Space-separated; by default all that the API offers.
        claims: Others than the issuer's own, or in place of them.
    """

    scope: str | None = None
    claims: Mapping[str, Any] = MappingProxyType({})


def request_token(settings: Settings, wanted: Wanted, prover: Prover | None = None) -> str:
    """An access token, bound to the prover's key if there is one.

    Args:
        settings: Those that `run` has.
        wanted: What it is to say.
        prover: Proves its key.

    Raises:
        click.ClickException: There is none.
    """
    (issuer,) = settings.issuers
    try:
        metadata = httpx.get(issuer + ".well-known/openid-configuration", trust_env=False).raise_for_status().json()
        scope = wanted.scope
        if scope is None:
            scope = " ".join(name for name in metadata["scopes_supported"] if name not in OIDC_SCOPES)
        headers = {"DPoP": prover.proof("POST", metadata["token_endpoint"])} if prover else {}
        issued = _issued(settings, metadata["token_endpoint"], wanted._replace(scope=scope), headers)
    except httpx.HTTPError as error:
        raise click.ClickException(
            f"No token from {issuer}: {error}. Is `make run` running, with this HOST and PORT?"
        ) from error
    if missing := set(scope.split()) - set(issued.get("scope", "").split()):
        raise click.ClickException(f"The contract declares no scope {', '.join(sorted(missing))}, so none is granted.")
    token: str = issued["access_token"]
    return token


def _issued(settings: Settings, token_endpoint: str, wanted: Wanted, headers: Mapping[str, str]) -> dict[str, Any]:
    asked = {
        "grant_type": "client_credentials",
        "client_id": MACHINE.client_id,
        "client_secret": MACHINE.secret,
        "audience": settings.audience,
        "scope": wanted.scope,
        "claims": json.dumps(dict(wanted.claims)),
    }
    answer = httpx.post(token_endpoint, data=asked, headers=headers, trust_env=False)
    issued: dict[str, Any] = answer.raise_for_status().json()
    return issued


def bound_call(settings: Settings, wanted: Wanted, url: str | None, method: str) -> str:
    """A command that calls the API once, with a token that is bound to a new key, and its proof.

    Args:
        settings: Those that `run` has.
        wanted: What the token is to say.
        url: What it calls, or the path; by default an operation of the contract.
        method: The method.

    Raises:
        click.ClickException: There is no token, or nothing to call.
    """
    if settings.dpop == "disabled" or not settings.base_url:
        raise click.ClickException("The API takes no bound tokens: set DPOP to allowed, and PORT.")
    url = url or _path_to_try(settings)
    if url.startswith("/"):
        url = development_issuer_url(settings.host, settings.port).rstrip("/") + url
    prover = Prover()
    token = request_token(settings, wanted, prover)
    if settings.dpop_nonce_secret:
        prover.nonce = Nonces(settings.dpop_nonce_secret.encode()).current()
    proof = prover.proof(method, _as_the_api_sees(url, settings.base_url), token)
    return curl(url, {"Authorization": f"DPoP {token}", "DPoP": proof}, method)


def _path_to_try(settings: Settings) -> str:
    from resource_server.contract.loading import read_contract

    try:
        contract = read_contract(settings.specification)
    except ContractError as error:
        raise click.ClickException(str(error)) from error
    found = operation_to_try(contract)
    if found is None:
        raise click.ClickException("No operation of the contract can be called without input: name one with --url.")
    return base_path(contract) + found.path


def _as_the_api_sees(url: str, base_url: str) -> str:
    """What a proof must be made for, whichever name of the API's the request is sent to."""
    return url if url.startswith(f"{base_url}/") else base_url + (urlsplit(url).path or "/")
