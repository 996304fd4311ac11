"""What can be set from outside. The only module that reads the environment."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from resource_server.networks import Networks
from resource_server.tokens.errors import QUOTABLE
from resource_server.tokens.issuer import is_loopback, issuer_url
from resource_server.tokens.keys import ALGORITHMS
from resource_server.tokens.uris import normalized

SPECIFICATION = Path("openapi.yaml")
"""The contract, in the directory where the process is started."""

_DEVELOPMENT_AUDIENCE = "https://api.example.com"
_DEVELOPMENT_CLIENT = "browser"
_DEVELOPMENT_ORIGINS = ("http://localhost:3000",)  # where Auth0's samples of single-page applications run


class SettingsError(ValueError):
    """A setting is missing or unusable. The message says what to set."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one application.

    Args:
        issuers: The issuer URLs that are trusted, exact to the character.
        audience: This API's identifier.
        host: The address to listen on.
        port: The TCP port to listen on; 0 takes any that is free.
        algorithms: What access tokens may be signed with.
        leeway: Seconds by which clocks may differ.
        max_age: Seconds since its issue after which a token is refused; `None` leaves that to its expiry.
        permissions: Whether Auth0's RBAC claim `permissions` grants scopes, too.
        max_stale: Seconds for which held keys stay good while their issuer can't be reached.
        remembered: Of how many tokens the verified signature is remembered.
        client_id: The client that Swagger UI logs in as; without one its dialog asks.
        public_url: Where the server is reached from outside, without a final slash; by default as it was asked.
        cors_origins: The origins whose pages may read answers.
        trusted_proxies: From where `X-Forwarded-*` is believed.
        development: Whether responses are held against the contract.
        development_issuer: Whether the one issuer is the embedded one, which then has to be started.
        specification: The contract.
        swagger_ui: Whether Swagger UI and the contract are served.
        log_format: `json` or `text`; by default text on a terminal, JSON elsewhere.
        log_requests: Whether each request gets a line.
        metrics_port: The TCP port of the metrics; 0 for none.
        tracing: Whether requests are traced, for OpenTelemetry.
        dpop: Whether tokens that are bound to a key are `allowed`, `required` or `disabled`; by default allowed, if it
            is known where the server is reached.
        dpop_nonce_secret: What nonces for proofs are made with; without it proofs need none.
        redis_url: Where used proofs are remembered for several machines; by default in a file, for one.
        shutdown_seconds: How long requests may take after the server has been told to stop.
        keep_alive_seconds: How long a connection waits for its next request, and for all header fields of that.
        max_body: How many bytes a request's body may have.
        max_requests: How many requests a worker works on at a time.
    """

    issuers: tuple[str, ...]
    audience: str
    host: str = "127.0.0.1"
    port: int = 3010
    algorithms: tuple[str, ...] = ("RS256",)
    leeway: float = 5
    max_age: float | None = None
    permissions: bool = False
    max_stale: float = 86_400
    remembered: int = 1_024
    client_id: str | None = None
    public_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: Networks = ()
    development: bool = False
    development_issuer: bool = False
    specification: Path = SPECIFICATION
    swagger_ui: bool = True
    log_format: str | None = None
    log_requests: bool = True
    metrics_port: int = 0
    tracing: bool = False
    dpop: str | None = None
    dpop_nonce_secret: str | None = None
    redis_url: str | None = None
    shutdown_seconds: int = 30
    keep_alive_seconds: int = 75
    max_body: int = 2**20
    max_requests: int = 100

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, development: bool = False) -> "Settings":
        """Read the settings from environment variables; an empty one counts as not set.

        Args:
            environ: The variables, by name.
            development: Whether `AUTH0_DOMAIN` may be missing, which asks for the development issuer.

        Raises:
            SettingsError: A variable is missing or unusable.
        """
        host = environ.get("HOST", "").strip("[]") or cls.host
        port = int(_number(environ, "PORT", cls.port, 65_535))
        domains = _words(environ, "AUTH0_DOMAIN")
        own_issuer = development and not domains
        return cls(
            issuers=(_development_issuer(host, port),) if own_issuer else _issuers(domains),
            audience=_audience(environ, _DEVELOPMENT_AUDIENCE if own_issuer else None),
            host=host,
            port=port,
            algorithms=_algorithms(environ, cls.algorithms),
            leeway=_number(environ, "TOKEN_LEEWAY", cls.leeway, 300),
            max_age=_number(environ, "TOKEN_MAX_AGE", 0, 10**9) or None,
            permissions=_switch(environ, "TOKEN_PERMISSIONS"),
            max_stale=_number(environ, "KEYS_MAX_STALE", cls.max_stale, 10**9),
            remembered=int(_number(environ, "TOKEN_CACHE", cls.remembered, 10**6)),
            client_id=_DEVELOPMENT_CLIENT if own_issuer else environ.get("AUTH0_CLIENT_ID") or None,
            public_url=_public_url(environ),
            cors_origins=_origins(environ, _DEVELOPMENT_ORIGINS if development else ()),
            trusted_proxies=_networks(environ),
            development=development,
            development_issuer=own_issuer,
            swagger_ui=_switch(environ, "SWAGGER_UI", cls.swagger_ui),
            log_format=_log_format(environ),
            log_requests=_switch(environ, "LOG_REQUESTS", cls.log_requests),
            metrics_port=int(_number(environ, "METRICS_PORT", cls.metrics_port, 65_535)),
            tracing=_switch(environ, "TRACING", cls.tracing),
            dpop=_dpop(environ, known=development or bool(environ.get("PUBLIC_URL"))),
            dpop_nonce_secret=_nonce_secret(environ),
            redis_url=environ.get("REDIS_URL") or None,
            shutdown_seconds=int(_number(environ, "SHUTDOWN_SECONDS", cls.shutdown_seconds, 3_600, least=1)),
            keep_alive_seconds=int(_number(environ, "KEEP_ALIVE_SECONDS", cls.keep_alive_seconds, 3_600, least=1)),
            max_body=int(_number(environ, "MAX_BODY_BYTES", cls.max_body, 2**40)),
            max_requests=int(_number(environ, "MAX_REQUESTS", cls.max_requests, 10_000, least=1)),
        )

    @classmethod
    def load(cls, *, development: bool = False) -> "Settings":
        """Read the settings of this process.

        Raises:
            SettingsError: As `from_environ`.
        """
        return cls.from_environ(environ(), development=development)

    @property
    def base_url(self) -> str | None:
        """Where the server is reached, without a final slash, if that is known."""
        if self.public_url or not self.development or not self.port:
            return self.public_url
        return development_issuer_url(self.host, self.port).rstrip("/")

    def validator_options(self) -> dict[str, Any]:
        """The validator's keyword arguments that are settings."""
        names = ("algorithms", "leeway", "max_age", "permissions", "max_stale", "remembered")
        return {name: getattr(self, name) for name in names}


def lacks_final_slash(issuer: str) -> bool:
    """Whether an issuer URL is a tenant's of Auth0, but for its final slash, so that no token can be of it."""
    parts = urlsplit(issuer)
    return (parts.hostname or "").endswith(".auth0.com") and not parts.path


SLASH_WARNING = "AUTH0_DOMAIN: %s lacks the final slash of Auth0's issuers, so every token is refused. Write %s."
"""For the log, with the issuer and its host."""


def environ() -> dict[str, str]:
    """The variables of this process: its environment, over a `.env` file in the current directory."""
    dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return dotenv | dict(os.environ)


def bypass_proxies(host: str) -> None:
    """Have no library of this process send requests for a host through a proxy."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), host)))


def development_issuer_url(host: str, port: int) -> str:
    """The development issuer's URL, with the final slash that Auth0's have."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _development_issuer(host: str, port: int) -> str:
    if not is_loopback(host):
        raise SettingsError(
            f"HOST is {host!r}, but the development issuer gives tokens to anybody, so it is for this machine only. "
            "Set AUTH0_DOMAIN and AUTH0_AUDIENCE, or HOST=127.0.0.1."
        )
    if port == 65_535:
        raise SettingsError(
            "PORT is 65535, but the development issuer needs the port after it. Set PORT to a lower one."
        )
    return development_issuer_url(host, port + 1 if port else 0)


def _issuers(domains: tuple[str, ...]) -> tuple[str, ...]:
    if not domains:
        raise SettingsError("AUTH0_DOMAIN is not set. Set it to your tenant's host, like tenant.eu.auth0.com.")
    try:
        return tuple(map(issuer_url, domains))
    except ValueError as error:
        raise SettingsError(f"AUTH0_DOMAIN: {error}.") from error


def _audience(environ: Mapping[str, str], default: str | None) -> str:
    audience = environ.get("AUTH0_AUDIENCE") or environ.get("API_IDENTIFIER") or default
    if not audience:
        raise SettingsError("AUTH0_AUDIENCE is not set. Set it to your API's identifier, as registered in Auth0.")
    if not QUOTABLE.fullmatch(audience):
        raise SettingsError(f"AUTH0_AUDIENCE is {audience!r}. Use ASCII without quotes and backslashes, like a URL.")
    return audience


def _algorithms(environ: Mapping[str, str], default: tuple[str, ...]) -> tuple[str, ...]:
    algorithms = _words(environ, "TOKEN_ALGORITHMS") or default
    if unknown := [name for name in algorithms if name not in ALGORITHMS]:
        known = ", ".join(sorted(ALGORITHMS))
        raise SettingsError(f"TOKEN_ALGORITHMS names {', '.join(unknown)}. Set it to some of {known}.")
    return algorithms


def _public_url(environ: Mapping[str, str]) -> str | None:
    url = environ.get("PUBLIC_URL") or None
    url = url.rstrip("/") if url else None
    # Clients compare it to the character, and a query would take the paths in.
    if url and (normalized(url) or "").rstrip("/") != url:
        raise SettingsError(f"PUBLIC_URL is {url!r}. Set it to a URL in its normal form, like https://api.example.com.")
    return url


def _dpop(environ: Mapping[str, str], *, known: bool) -> str | None:
    mode = environ.get("DPOP") or None
    if mode not in (None, "allowed", "required", "disabled"):
        raise SettingsError(f"DPOP is {mode!r}. Set it to allowed, required or disabled.")
    if mode in ("allowed", "required") and not known:
        raise SettingsError(
            f"DPOP is {mode}, but proofs name the URL that they are for. Set PUBLIC_URL, like https://api.example.com."
        )
    return mode


def _nonce_secret(environ: Mapping[str, str]) -> str | None:
    secret = environ.get("DPOP_NONCE_SECRET") or None
    if secret and len(secret) < 32:
        raise SettingsError("DPOP_NONCE_SECRET is too short. Use 32 characters or more, the same on all machines.")
    return secret


def _origins(environ: Mapping[str, str], default: tuple[str, ...]) -> tuple[str, ...]:
    origins = _words(environ, "CORS_ORIGINS") or default
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin:
            raise SettingsError(f"CORS_ORIGINS names {origin!r}. Write origins like https://app.example.com.")
    return origins


def _networks(environ: Mapping[str, str]) -> Networks:
    try:
        return tuple(map(ipaddress.ip_network, _words(environ, "TRUSTED_PROXIES")))
    except ValueError as error:
        raise SettingsError(f"TRUSTED_PROXIES: {error}. Write addresses or networks like 10.0.0.0/8.") from error


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in environ.get(name, "").split(",") if word.strip())


def _number(environ: Mapping[str, str], name: str, default: float, most: int, least: int = 0) -> float:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise SettingsError(f"{name} is {text!r}. Set it to a number from {least} to {most}.")
    return int(text)


def _log_format(environ: Mapping[str, str]) -> str | None:
    form = environ.get("LOG_FORMAT") or None
    if form not in (None, "json", "text"):
        raise SettingsError(f"LOG_FORMAT is {form!r}. Set it to json or text.")
    return form


def _switch(environ: Mapping[str, str], name: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002
    text = environ.get(name) or str(default)
    if text.lower() not in ("true", "false"):
        raise SettingsError(f"{name} is {text!r}. Set it to true or false.")
    return text.lower() == "true"
