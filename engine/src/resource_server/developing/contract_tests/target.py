"""What is tested: a server, here or elsewhere, and what it trusts."""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import declared_scopes
from resource_server.developing.contract_tests.results import Progress
from resource_server.developing.contract_tests.sources import DevelopmentTokens, environment_sources
from resource_server.developing.contract_tests.trust import Trust
from resource_server.developing.issuer import SIGNING_ENDPOINT, DevelopmentIssuer, serve_in_background
from resource_server.networks import is_local
from resource_server.serving.background import in_background
from resource_server.serving.listening import listen
from resource_server.serving.making import make
from resource_server.settings import Settings, development_issuer_url
from resource_server.tokens.issuer import Issuer, IssuerError
from resource_server.tokens.keys import KeyIndex

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """What is tested.

    Args:
        url: Where it is.
        settings: How it is served, as far as they are known.
        beside: Routes beside the contract, which aren't tested, and who may call each; unknown elsewhere.
    """

    url: str
    settings: Settings
    beside: Mapping[str, str] = MappingProxyType({})


@contextlib.contextmanager
def served_here(factory: str, settings: Settings) -> Iterator[Target]:
    """Serve the API on a free port, with a development issuer if the settings say so.

    Raises:
        ApplicationError: The application can't be made.
        ContractError: The contract can't be read.
    """
    if settings.development_issuer:
        contract = read_contract(settings.specification)
        listener = listen("127.0.0.1", 0, what="the development issuer")
        issuer = DevelopmentIssuer(
            development_issuer_url("127.0.0.1", listener.getsockname()[1]),
            lambda: declared_scopes(contract),
            lambda: settings.development_claims or {},
        )
        serve_in_background(listener, issuer)
        settings = replace(settings, issuers=(issuer.url,))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # of what isn't HTTP there will be some
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    # Proofs name the URL.
    settings = replace(settings, public_url=development_issuer_url("127.0.0.1", port).rstrip("/"))
    app = make(factory, settings)
    with in_background(app, port) as url:
        yield Target(url, settings, app.beside)


def trust(
    settings: Settings, environ: Mapping[str, str], *, kept: Sequence[str], wait: float, progress: Progress
) -> Trust:
    """What the server is to trust.

    Args:
        settings: Its audience, its algorithms, and its issuers, of which the first is tested.
        environ: Where tokens come from, as `environment_sources` has it.
        kept: Tokens of earlier runs.
        wait: Seconds that may be spent on waiting for a token to expire.
        progress: Is told when that is done.
    """
    issuer = settings.issuer(settings.issuers[0])
    try:
        metadata, endpoints = issuer.metadata(), issuer.endpoints()
    except IssuerError as error:
        logger.warning("%s", error)
        metadata, endpoints = {}, issuer.usual_endpoints()

    def sleep(seconds: float) -> None:
        progress(f"waiting {seconds:.0f} seconds for a token to expire")
        time.sleep(seconds)

    sources = environment_sources(
        environ, token_endpoint=endpoints.token, audience=settings.audience, kept=kept, wait=wait, sleep=sleep
    )
    signing = metadata.get(SIGNING_ENDPOINT) if is_local(issuer.url) else None
    if signing:
        sources.append(DevelopmentTokens(signing, settings.audience))
    return Trust(
        issuer=issuer.url,
        audience=settings.audience,
        keys=lambda: _keys(issuer),
        sources=sources,
        signs=bool(signing),
        permissions=settings.permissions,
    )


def _keys(issuer: Issuer) -> KeyIndex:
    try:
        return issuer.fetch_keys().keys
    except IssuerError as error:
        logger.warning("%s", error)
        return {}
