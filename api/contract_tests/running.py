"""A whole run: the server that is tested, what it trusts, and both parts."""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import httpx

from api.app import build, create_app
from api.contract import Contract, declared_scopes
from api.contract_tests.conformance import check_conformance, not_tested
from api.contract_tests.defects import EXPIRED, Material, Trust
from api.contract_tests.matrix import Matrix, rows
from api.contract_tests.operations import good_requests, load, requirements
from api.contract_tests.results import NotRun, Progress, Result
from api.contract_tests.sources import DevelopmentTokens, FirstOf, environment_sources
from api.development.clients import is_local
from api.development.issuer import SIGNING_ENDPOINT, DevelopmentIssuer, serve_in_background
from api.loading import load_contract
from api.server import in_background, listen
from api.settings import Settings, development_issuer_url
from security.issuer import Issuer, IssuerError
from security.keys import ALGORITHMS, KeyIndex


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is made.

    Args:
        needed: Names of rows without which the run is incomplete, beside those that need no one's key.
        kept: Tokens of earlier runs.
        wait: Seconds that may be spent on waiting for a token to expire.
        examples: How many requests conformance makes at most for each operation and phase.
        seed: What they are made from.
        read_only: Whether operations that may change something are left out.
        progress: Is told what is being done.
    """

    needed: Collection[str] = ()
    kept: Sequence[str] = ()
    wait: float = 0
    examples: int = 50
    seed: int = 0
    read_only: bool = False
    progress: Progress = field(default=lambda _: None)


@contextlib.contextmanager
def served_here(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Serve the API on a free port, with a development issuer if the settings say so; yields its URL, and them.

    Raises:
        ContractError: The contract can't be served.
    """
    if settings.development_issuer:
        contract = load_contract(settings.specification)
        listener = listen("127.0.0.1", 0, what="the development issuer")
        issuer = DevelopmentIssuer(
            development_issuer_url("127.0.0.1", listener.getsockname()[1]), lambda: declared_scopes(contract)
        )
        serve_in_background(listener, issuer)
        settings = replace(settings, issuers=(issuer.url,))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # of what isn't HTTP there will be some
    with in_background(build(create_app(settings))) as url:
        yield url, settings


def trust(settings: Settings, environ: Mapping[str, str], options: Options) -> tuple[Trust, bool]:
    """What the server is to trust, and whether the issuer signs whatever it is asked for."""
    issuer = Issuer(settings.issuers[0], ALGORITHMS)
    try:
        metadata, endpoints = issuer.metadata(), issuer.endpoints()
    except IssuerError as error:
        options.progress(str(error))
        metadata, endpoints = {}, issuer.usual_endpoints()
    sources = environment_sources(
        environ, token_endpoint=endpoints.token, audience=settings.audience, kept=options.kept, wait=options.wait
    )
    signing = metadata.get(SIGNING_ENDPOINT) if is_local(issuer.url) else None
    if signing:
        sources.append(DevelopmentTokens(signing, settings.audience))
    return Trust(issuer.url, settings.audience, lambda: _keys(issuer), FirstOf(sources)), bool(signing)


def _keys(issuer: Issuer) -> KeyIndex:
    try:
        return issuer.fetch_keys().keys
    except IssuerError:
        return {}


def run(contract: Contract, url: str, trusted: Trust, options: Options, *, signs: bool) -> Iterator[Result]:
    """Test a server; yields results as they come.

    Args:
        contract: What it is to do.
        url: Where it is, without the path of the contract's first server.
        trusted: What it is to trust.
        options: How.
        signs: Whether the issuer signs whatever it is asked for, so that every row can be run.
    """
    required = requirements(contract)
    if options.read_only:
        left_out = [operation for operation in required if not operation.startswith("GET ")]
        required = {operation: each for operation, each in required.items() if operation not in left_out}
        yield from (not_tested(operation, "left out by --read-only", required=False) for operation in left_out)
    scopes = {scope for each in required.values() for alternative in each.alternatives for scope in alternative}
    try:
        token, untestable = Material(trusted, sorted(scopes)).good, ""
    except NotRun as reason:
        token, untestable = None, f"there is no token that grants all scopes: {reason}"
    schema = load(contract, url, token=token, examples=options.examples, seed=options.seed, read_only=options.read_only)
    testable = [operation for operation, each in required.items() if token or each.optional]
    yield from check_conformance(schema, testable, options.progress)
    yield from (not_tested(operation, untestable) for operation in required if operation not in testable)
    with httpx.Client(trust_env=not is_local(url), timeout=_TIMEOUT) as client:
        requests = dict(good_requests(contract, load(contract, url)))
        matrix = Matrix(trusted, requests, client, needed=None if signs else options.needed)
        # Last, because it may have to be waited for.
        for row in sorted(rows(required), key=lambda row: row.defect is EXPIRED):
            options.progress(f"authorization: {row.operation}")
            yield matrix.run(row)
        yield from matrix.forms()


_TIMEOUT = 10  # seconds
