"""What can be set from outside. The only module that reads the environment."""

import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from resource_server.networks import Networks
from resource_server.tokens.errors import QUOTABLE
from resource_server.tokens.issuer import Issuer, document_url, is_loopback, issuer_url
from resource_server.tokens.keys import ALGORITHMS
from resource_server.tokens.uris import is_public_url

_DEVELOPMENT_AUDIENCE = "https://api.example.com"
_DEVELOPMENT_CLIENT = "browser"
_DEVELOPMENT_ORIGINS = ("http://localhost:3000",)  # where Auth0's samples of single-page applications run


class SettingsError(ValueError):
    """A setting is missing or unusable. The message says what to set."""


# What a variable's text means. Each takes the variable's name and its text, which isn't empty.


def _text(_: str, text: str) -> str:
    return text


def _words(_: str, text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(name: str, text: str, *, most: int, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise SettingsError(f"{name} is {text!r}. Set it to a number from {least} to {most}.")
    return int(text)


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise SettingsError(f"{name} is {text!r}. Set it to true or false.")
    return text.lower() == "true"


def _choice(name: str, text: str, *, among: tuple[str, ...]) -> str:
    if text not in among:
        raise SettingsError(f"{name} is {text!r}. Set it to {', '.join(among[:-1])} or {among[-1]}.")
    return text


def _host(_: str, text: str) -> str:
    return text.strip("[]")


def _issuers(name: str, text: str) -> tuple[str, ...] | None:
    try:
        return () if text == NO_ISSUER else tuple(map(issuer_url, _words(name, text))) or None
    except ValueError as error:
        raise SettingsError(f"{name}: {error}.") from error


NO_ISSUER = "none"
"""Written for AUTH0_DOMAIN if a resolver alone says which issuers there are: it can't be forgotten."""


def _documents(name: str, text: str) -> dict[str, str]:
    """URLs by the issuers that they are of; by nothing, if there is one."""
    found: dict[str, str] = {}
    for word in _words(name, text):
        issuer, _, url = word.rpartition("=http")
        try:
            of, at = issuer_url(issuer) if issuer else "", document_url(f"http{url}" if issuer else word)
        except ValueError as error:
            raise SettingsError(f"{name}: {error}. Write a URL, or `issuer=URL` for each issuer.") from error
        if found.setdefault(of, at) != at:
            raise SettingsError(f"{name} has two URLs for one issuer. Write one, or `issuer=URL` for each issuer.")
    return found


def _audience(name: str, text: str) -> str:
    if not QUOTABLE.fullmatch(text) or set(text) & set("' ,"):
        raise SettingsError(
            f"{name} is {text!r}. Set it to the identifier of one API, in ASCII without quotes, spaces and commas, "
            "like a URL."
        )
    return text


def _algorithms(name: str, text: str) -> tuple[str, ...]:
    algorithms = _words(name, text)
    if unknown := [each for each in algorithms if each not in ALGORITHMS]:
        known = ", ".join(sorted(ALGORITHMS))
        raise SettingsError(f"{name} names {', '.join(unknown)}. Set it to some of {known}.")
    return algorithms or _default("algorithms")


def _public_url(name: str, text: str) -> str:
    url = text.rstrip("/")
    if not is_public_url(url):
        raise SettingsError(f"{name} is {url!r}. Set it to a URL in its normal form, like https://api.example.com.")
    return url


def _origins(name: str, text: str) -> tuple[str, ...]:
    origins = _words(name, text)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin:
            raise SettingsError(f"{name} names {origin!r}. Write origins like https://app.example.com.")
    return origins


def _field_names(name: str, text: str) -> tuple[str, ...]:
    names = _words(name, text)
    for each in names:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", each):
            raise SettingsError(f"{name} names {each!r}. Write names of header fields, like X-Requested-With.")
    return names


def _field_name(name: str, text: str) -> str:
    names = _field_names(name, text)
    if len(names) != 1:
        raise SettingsError(f"{name} is {text!r}. Set it to the name of one header field, like X-Client-Certificate.")
    return names[0]


def _networks(name: str, text: str) -> Networks:
    try:
        return tuple(map(ipaddress.ip_network, _words(name, text)))
    except ValueError as error:
        raise SettingsError(f"{name}: {error}. Write addresses or networks like 10.0.0.0/8.") from error


def _nonce_secret(name: str, text: str) -> str:
    if len(text) < 32:
        raise SettingsError(f"{name} is too short. Use 32 characters or more, the same on all machines.")
    return text


def _claims(name: str, text: str) -> dict[str, Any]:
    try:
        claims = json.loads(text)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise SettingsError(f'{name} is {text!r}. Set it to a JSON object, like {{"org_id": "org_1"}}.')
    return claims


class Setting(NamedTuple):
    """A row of the table of settings.

    Args:
        variable: The environment variable.
        parse: Makes a value of its name and its text, which isn't empty.
        sentence: What it is.
        shown: Its default, as the documentation has it; by default the value itself.
    """

    variable: str
    parse: Callable[[str, str], Any]
    sentence: str
    shown: str | None = None


def _row(variable: str, parse: Callable[[str, str], Any], default: Any, sentence: str, shown: str | None = None) -> Any:
    return field(default=default, metadata={"setting": Setting(variable, parse, sentence, shown)})


NO_ISSUER_HERE = (
    "AUTH0_DOMAIN is none: a function names the issuers for each host, and isn't asked here. Set AUTH0_DOMAIN to the "
    "one that is meant, for this command alone."
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one application. Those with a variable can be set in the environment; it says what they are."""

    issuers: tuple[str, ...] = _row(
        "AUTH0_DOMAIN", _issuers, (),
        "The tenant's host, or the issuer URL of any OpenID provider; several with commas; `none` if "
        "only an `IssuerResolver` names issuers.", "the development issuer",
    )  # fmt: skip
    audience: str = _row(
        "AUTH0_AUDIENCE", _audience, "",
        "Your API's identifier; `API_IDENTIFIER` is read, too.", f"`{_DEVELOPMENT_AUDIENCE}` in development",
    )  # fmt: skip
    port: int = _row("PORT", partial(_number, most=65_535), 3010, "The TCP port; 0 takes any that is free.")
    host: str = _row("HOST", _host, "127.0.0.1", "The address to listen on.")
    client_id: str | None = _row(
        "AUTH0_CLIENT_ID", _text, None,
        "The single-page application that Swagger UI logs in as; its callback URL is `…/ui/oauth2-redirect.html`.",
        "the dialog asks",
    )  # fmt: skip
    cors_origins: tuple[str, ...] = _row(
        "CORS_ORIGINS", _origins, (),
        "The origins whose pages may call; several with commas.", f"in development `{_DEVELOPMENT_ORIGINS[0]}`",
    )  # fmt: skip
    cors_headers: tuple[str, ...] = _row(
        "CORS_HEADERS", _field_names, (),
        "Header fields that those pages may send beside the contract's, like `X-Requested-With`; several with commas.",
        "none; `traceparent` and the like with `TRACING`",
    )  # fmt: skip
    public_url: str | None = _row(
        "PUBLIC_URL", _public_url, None,
        "Where the API is reached from outside: for the contract, proofs and metadata.",
        "in development `http://127.0.0.1:3010` for the latter two",
    )  # fmt: skip
    dpop: str | None = _row(
        "DPOP", partial(_choice, among=("allowed", "required", "disabled")), None,
        "Whether tokens that are bound to a key are `allowed`, `required` or `disabled`.",
        "`allowed`, where `PUBLIC_URL` is known",
    )  # fmt: skip
    dpop_nonce_secret: str | None = _row(
        "DPOP_NONCE_SECRET", _nonce_secret, None,
        "Has proofs need nonces of the API; 32 characters or more, the same on all machines.",
    )  # fmt: skip
    redis_url: str | None = _row(
        "REDIS_URL", _text, None,
        "Where several machines remember which proofs have been used, with the extra `redis` installed.",
        "a file, for one machine",
    )  # fmt: skip
    trusted_proxies: Networks = _row(
        "TRUSTED_PROXIES", _networks, (),
        "Addresses or networks whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are believed.",
    )  # fmt: skip
    client_certificate_header: str | None = _row(
        "CLIENT_CERTIFICATE_HEADER", _field_name, None,
        "The header field in which `TRUSTED_PROXIES` pass on the client's certificate: `X-Forwarded-Client-Cert` as "
        "Envoy writes it, `Client-Cert` as RFC 9440 has it, any other as PEM, percent-encoded.",
    )  # fmt: skip
    mtls: str | None = _row(
        "MTLS", partial(_choice, among=("allowed", "required", "disabled")), None,
        "Whether tokens that are bound to a client certificate are `allowed`, `required` or `disabled`.",
        "`allowed`, where `CLIENT_CERTIFICATE_HEADER` is set",
    )  # fmt: skip
    algorithms: tuple[str, ...] = _row(
        "TOKEN_ALGORITHMS", _algorithms, ("RS256",), "What tokens may be signed with; several with commas."
    )
    leeway: float = _row("TOKEN_LEEWAY", partial(_number, most=300), 5, "Seconds by which clocks may differ.")
    max_age: float | None = _row(
        "TOKEN_MAX_AGE", lambda name, text: _number(name, text, most=10**9) or None, None,
        "Seconds since its issue after which a token is refused.", "until it expires",
    )  # fmt: skip
    permissions: bool = _row(
        "TOKEN_PERMISSIONS", _switch, False, "Whether Auth0's RBAC claim `permissions` grants scopes, too."
    )
    scope_claims: tuple[str, ...] = _row(
        "TOKEN_SCOPE_CLAIMS", _words, ("scope", "scp"),
        "The claims that grant scopes, like `roles`, or `realm_access.roles` for one within another.",
    )  # fmt: skip
    subject: bool = _row("TOKEN_SUBJECT", _switch, True, "Whether a token must have a `sub`, which names who calls.")
    profile: str = _row(
        "TOKEN_PROFILE", partial(_choice, among=("auth0", "rfc9068")), "auth0",
        "`rfc9068` demands what RFC 9068 does: `typ: at+jwt`, `client_id`, `jti` and `iat`.",
    )  # fmt: skip
    metadata_urls: Mapping[str, str] | None = _row(
        "METADATA_URL", _documents, None,
        "Where the issuer's metadata are; of several issuers, `issuer=URL` for each, with commas.",
        "`…/.well-known/openid-configuration`",
    )  # fmt: skip
    jwks_urls: Mapping[str, str] | None = _row(
        "JWKS_URL", _documents, None,
        "Where the issuer's keys are; of several issuers, `issuer=URL` for each, with commas.",
        "what the metadata say",
    )  # fmt: skip
    token_cache_size: int = _row(
        "TOKEN_CACHE", partial(_number, most=10**6), 1_024,
        "Of how many tokens each worker remembers that their signature is right; 0 for none.",
    )  # fmt: skip
    swagger_ui: bool = _row("SWAGGER_UI", _switch, True, "Whether Swagger UI and the contract are served.")
    swagger_ui_version: int = _row(
        "SWAGGER_UI_VERSION", partial(_number, most=5, least=4), 5,
        "Of Swagger UI: 5, or 4, which shows OpenAPI 3.0 only.",
    )  # fmt: skip
    log_format: str | None = _row(
        "LOG_FORMAT", partial(_choice, among=("json", "text")), None,
        "`json` or `text`.", "text on a terminal, JSON elsewhere",
    )  # fmt: skip
    log_requests: bool = _row("LOG_REQUESTS", _switch, True, "Whether each request gets a line.")
    metrics_port: int = _row(
        "METRICS_PORT", partial(_number, most=65_535), 0,
        "Serves Prometheus' metrics of all workers at `/metrics`, on a port of their own.", "none",
    )  # fmt: skip
    tracing: bool = _row(
        "TRACING", _switch, False, "Whether requests are traced for OpenTelemetry, with the extra `tracing` installed."
    )
    max_requests: int = _row(
        "MAX_REQUESTS", partial(_number, most=10_000, least=1), 100,
        "How many requests a worker works on at a time; to more it answers 503 at once.",
    )  # fmt: skip
    keep_alive_seconds: int = _row(
        "KEEP_ALIVE_SECONDS", partial(_number, most=3_600, least=1), 75,
        "How long a connection waits for its next request.",
    )  # fmt: skip
    max_body: int = _row(
        "MAX_BODY_BYTES", partial(_number, most=2**40), 2**20, "How long a request's body may be, in bytes."
    )
    shutdown_seconds: int = _row(
        "SHUTDOWN_SECONDS", partial(_number, most=3_600, least=1), 30,
        "How long requests may still take when the server has been told to stop.",
    )  # fmt: skip
    max_stale: float = _row(
        "KEYS_MAX_STALE", partial(_number, most=10**9), 86_400,
        "Seconds for which held keys stay good while the issuer can't be reached.",
    )  # fmt: skip
    development_claims: Mapping[str, Any] | None = _row(
        "DEVELOPMENT_CLAIMS", _claims, None,
        'Further claims of every token of the development issuer, as a JSON object, like `{"org_id": "org_1"}`.',
    )  # fmt: skip
    development: bool = False
    """Whether responses are held against the contract."""
    development_issuer: bool = False
    """Whether the one issuer is the embedded one, which then has to be started."""
    specification: Path = Path("openapi.yaml")
    """The contract; by default the one in the directory where the process is started."""
    transport: httpx.BaseTransport | None = None
    """What carries the requests to the issuers, for tests; by default the network."""

    def __post_init__(self) -> None:
        if self.mtls in ("allowed", "required") and not self.client_certificate_header:
            raise SettingsError(
                f"MTLS is {self.mtls}, but TLS ends at a proxy. Set CLIENT_CERTIFICATE_HEADER to the header field in "
                "which it passes on the client's certificate."
            )
        if self.client_certificate_header and not self.trusted_proxies:
            raise SettingsError(
                "CLIENT_CERTIFICATE_HEADER is set, but anybody can write a header field. Set TRUSTED_PROXIES to the "
                "addresses of the proxies that are believed."
            )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, development: bool = False) -> "Settings":
        """Read the settings from environment variables; an empty one counts as not set.

        Args:
            environ: The variables, by name.
            development: Whether `AUTH0_DOMAIN` may be missing, which asks for the development issuer.

        Raises:
            SettingsError: A variable is missing or unusable.
        """
        given: dict[str, Any] = {"development": development}
        for name, setting in rows().items():
            if text := environ.get(setting.variable) or environ.get(_ALIASES.get(setting.variable, "")):
                given[name] = setting.parse(setting.variable, text)
        if development:
            given["cors_origins"] = given.get("cors_origins") or _DEVELOPMENT_ORIGINS
            if given.get("issuers") is None:
                given |= _development_issuer(given.get("host", cls.host), given.get("port", cls.port))
                given.setdefault("audience", _DEVELOPMENT_AUDIENCE)
        _check(given)
        return cls(**given)

    @classmethod
    def load(cls, *, development: bool = False) -> "Settings":
        """Read the settings of this process.

        Raises:
            SettingsError: As `from_environ`.
        """
        return cls.from_environ(environ(), development=development)

    def issuer(self, url: str, algorithms: Iterable[str] | None = None) -> Issuer:
        """One of the issuers, with keys for some algorithms; by default for those of tokens."""
        return Issuer(
            url,
            algorithms or self.algorithms,
            metadata_url=(self.metadata_urls or {}).get(url),
            jwks_url=(self.jwks_urls or {}).get(url),
            transport=self.transport,
        )

    @property
    def named_issuers(self) -> str:
        """The issuers, for people."""
        return ", ".join(self.issuers) or "the issuers that a function names for each host"

    @property
    def base_url(self) -> str | None:
        """Where the server is reached, without a final slash, if that is known."""
        if self.public_url or not self.development or not self.port:
            return self.public_url
        return development_issuer_url(self.host, self.port).rstrip("/")


def rows() -> dict[str, Setting]:
    """The settings that have a variable, by the name of their field."""
    return {each.name: each.metadata["setting"] for each in fields(Settings) if "setting" in each.metadata}


def table() -> str:
    """The table of settings, in Markdown."""
    lines = ["| variable | what it is | default |", "| --- | --- | --- |"]
    lines += (f"| `{row.variable}` | {row.sentence} | {row.shown or _shown(name)} |" for name, row in rows().items())
    return "\n".join(lines) + "\n"


def _default(name: str) -> Any:
    return next(each.default for each in fields(Settings) if each.name == name)


def _shown(name: str) -> str:
    value = _default(name)
    if isinstance(value, tuple):
        value = ",".join(value)
    return (
        "none"
        if value in (None, "") or value == {}
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


_ALIASES = {"AUTH0_AUDIENCE": "API_IDENTIFIER"}


def _check(given: dict[str, Any]) -> None:
    """What can only be said of several settings together."""
    if given.get("issuers") is None:
        raise SettingsError("AUTH0_DOMAIN is not set. Set it to your tenant's host, like tenant.eu.auth0.com.")
    if not given.get("audience"):
        raise SettingsError("AUTH0_AUDIENCE is not set. Set it to your API's identifier, as registered in Auth0.")
    for name in ("metadata_urls", "jwks_urls"):
        _name_issuers(rows()[name].variable, given, name)
    mode, known = given.get("dpop"), given["development"] or given.get("public_url")
    if mode in ("allowed", "required") and not known:
        raise SettingsError(
            f"DPOP is {mode}, but proofs name the URL that they are for. Set PUBLIC_URL, like https://api.example.com."
        )


def _name_issuers(variable: str, given: dict[str, Any], name: str) -> None:
    """Have each URL be of an issuer."""
    urls, issuers = dict(given.get(name) or {}), given["issuers"]
    if "" in urls:
        if len(issuers) != 1 or len(urls) > 1:
            raise SettingsError(f"{variable} says not which issuer is meant. Write `issuer=URL` for each.")
        urls = {issuers[0]: urls[""]}
    if unknown := urls.keys() - set(issuers):
        raise SettingsError(f"{variable} names {min(unknown)!r}, which AUTH0_DOMAIN doesn't.")
    given[name] = urls or None


def lacks_final_slash(issuer: str) -> bool:
    """Whether an issuer URL is a tenant's of Auth0, but for its final slash, so that no token can be of it."""
    parts = urlsplit(issuer)
    return (parts.hostname or "").endswith(".auth0.com") and not parts.path


SLASH_WARNING = "AUTH0_DOMAIN: %s lacks the final slash of Auth0's issuers, so every token is refused. Write %s."
"""For the log, with the issuer and its host."""


def environ() -> dict[str, str]:
    """The variables of this process: its environment, over a file ``.env`` in the current directory.

    Raises:
        SettingsError: A line of the file is none.
    """
    return _dotenv() | dict(os.environ)


def foreign_variables() -> list[str]:
    """The variables of `.env` that aren't settings, like DATABASE_URL, and that the environment doesn't have.

    Raises:
        SettingsError: As `environ`.
    """
    known = {row.variable for row in rows().values()} | set(_ALIASES.values()) | os.environ.keys()
    return [name for name in _dotenv() if name not in known and not name.startswith("CONTRACT_")]


def _dotenv() -> dict[str, str]:
    file = Path(".env")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            raise SettingsError(f".env, line {binding.original.line}, can't be read. Write NAME=value.")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


def bypass_proxies(host: str) -> None:
    """Have no library of this process send requests for a host through a proxy."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), host)))


def count_in(folder: str) -> None:
    """Have this process and its children count for Prometheus in a folder; its client asks for that on its import."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def development_issuer_url(host: str, port: int) -> str:
    """The development issuer's URL, with the final slash that Auth0's have."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _development_issuer(host: str, port: int) -> dict[str, Any]:
    """The settings that make the development issuer the one that is trusted."""
    if not is_loopback(host):
        raise SettingsError(
            f"HOST is {host!r}, but the development issuer gives tokens to anybody, so it is for this machine only. "
            "Set AUTH0_DOMAIN and AUTH0_AUDIENCE, or HOST=127.0.0.1."
        )
    if port == 65_535:
        raise SettingsError(
            "PORT is 65535, but the development issuer needs the port after it. Set PORT to a lower one."
        )
    url = development_issuer_url(host, port + 1 if port else 0)
    return {"issuers": (url,), "development_issuer": True, "client_id": _DEVELOPMENT_CLIENT}
