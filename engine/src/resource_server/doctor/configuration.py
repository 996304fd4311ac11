"""Whether the API could serve a valid token now, as far as its configuration is concerned."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from resource_server.contract.loading import read_contract
from resource_server.contract.spec import ContractError, declared_scopes, operations
from resource_server.doctor.findings import Finding, Verdict
from resource_server.doctor.issuers import issuer_findings
from resource_server.doctor.stores import store_findings
from resource_server.networks import is_local
from resource_server.serving.making import ApplicationError, make
from resource_server.settings import Settings, SettingsError, lacks_final_slash


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings as `serve` reads them; without an issuer as `run` does.

    Raises:
        SettingsError: One is missing or unusable.
    """
    return Settings.from_environ(environ, development=not environ.get("AUTH0_DOMAIN"))


def settings_finding(error: SettingsError) -> Finding:
    """What a setting that can't be used means."""
    meaning = "The API doesn't start, and nothing else can be checked."
    return Finding("settings", Verdict.FAILED, str(error), meaning=meaning, advice="Correct it as it says.")


def configuration_findings(factory: str, settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of each check of the configuration. Fetches the issuers' metadata and keys.

    Args:
        factory: The function that makes the API, like `api.app:create_app`.
        settings: The settings of the API.
        now: The time in seconds since the epoch.
    """
    yield _settings(settings)
    yield _audience(settings)
    for url in settings.issuers:
        yield from issuer_findings(url, settings, now)
    yield from _contract(factory, settings)
    yield from store_findings(settings, now)
    yield _public_url(settings)
    yield _cors(settings)


def _settings(settings: Settings) -> Finding:
    issuers = ", ".join(settings.issuers)
    for url in filter(lacks_final_slash, settings.issuers):
        meaning = "Auth0's issuers end with a slash, so no token has this one, and every token is refused."
        advice = f"Write AUTH0_DOMAIN={url.partition('://')[2]}"
        return Finding("settings", Verdict.FAILED, issuers, f"{url}/", meaning, advice)
    meaning = "The development issuer's tokens are taken." if settings.development_issuer else ""
    return Finding("settings", Verdict.PASSED, f"tokens of {issuers} are taken", meaning=meaning)


def _audience(settings: Settings) -> Finding:
    audience, meaning = settings.audience, None
    if audience.endswith(("/api/v2/", "/userinfo")):
        meaning = "That is an API of Auth0's own. Tokens for it say nothing about this one."
    elif len(audience) == 32 and audience.isalnum():
        meaning = "It looks like a Client ID, which ID tokens have for an audience, and access tokens never."
    if meaning:
        advice = "Set AUTH0_AUDIENCE to your API's identifier."
        return Finding("audience", Verdict.WARNING, audience, meaning=meaning, advice=advice)
    return Finding("audience", Verdict.PASSED, audience, meaning="Clients have to request tokens for it.")


def _contract(factory: str, settings: Settings) -> Iterator[Finding]:
    try:
        contract = read_contract(settings.specification)
        app = make(factory, replace(settings, dpop="disabled", metrics_port=0))
    except (ApplicationError, ContractError) as error:
        yield Finding("contract", Verdict.FAILED, str(error), meaning="It isn't served.", advice="Mend it as it says.")
        return
    found = list(operations(contract))
    protected = sum(bool(security) and {} not in security for *_, security in found)
    counted = f"{settings.specification.name}: {len(found)} operations, {protected} of them need credentials"
    yield Finding("contract", Verdict.PASSED, counted)
    for route, callers in app.beside.items():
        yield Finding("beside it", Verdict.PASSED, route, meaning=callers)
    scopes = " ".join(declared_scopes(contract)) or "none"
    counts = "scope, scp and permissions" if settings.permissions else "scope and scp"
    yield Finding("scopes", Verdict.PASSED, scopes, meaning=f"They are looked for in {counts}.")


def _public_url(settings: Settings) -> Finding:
    url = settings.base_url
    if url is None:
        meaning = "It isn't known, so bound tokens aren't taken, and challenges lead to no metadata."
        return Finding("public URL", Verdict.NOT_CHECKED, meaning=meaning, advice="Set PUBLIC_URL if that is wanted.")
    if url.startswith("http://") and not is_local(url):
        meaning = "Tokens that are sent there can be read on the way."
        return Finding("public URL", Verdict.WARNING, url, meaning=meaning, advice="Serve it with https.")
    return Finding("public URL", Verdict.PASSED, url, meaning="Proofs have to be made for URLs below it.")


def _cors(settings: Settings) -> Finding:
    origins = settings.cors_origins
    if not origins:
        return Finding("CORS", Verdict.PASSED, "no origins", meaning="Pages of other origins can't call the API.")
    return Finding("CORS", Verdict.PASSED, ", ".join(origins), meaning="Pages of these origins can call the API.")
