"""An issuer, its metadata and its key set, over HTTP (OpenID Connect Discovery; RFC 8414; RFC 7517)."""

import encodings.idna  # noqa: F401
import ipaddress
import json
import logging
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

import certifi
import h11  # noqa: F401
import httpcore  # noqa: F401
import httpx

from resource_server.tokens.keys import KeyIndex, verification_keys

logger = logging.getLogger(__name__)

# The first request would import these: a process that forks meanwhile would leave its child the lock of an import.
certifi.where()

_TIMEOUT = 5.0  # seconds for each of connect, read and write
_DEADLINE = 10.0  # seconds for one document, however slowly it drips
LONGEST_FETCH = 2 * _DEADLINE
"""Seconds in which keys are fetched or given up: the metadata, and the key set."""

_MAX_BYTES = 512 * 1024  # as they come, and decoded
_MAX_REDIRECTS = 3
_DEFAULT_LIFETIME, _MIN_LIFETIME, _MAX_LIFETIME = 600, 60, 86_400  # seconds


class IssuerFault(Enum):
    """What is wrong with an answer of an issuer's, or with the environment; for whoever explains it."""

    ENVIRONMENT = auto()
    REDIRECT = auto()
    ENCODING = auto()
    DAMAGED = auto()
    TOO_LONG = auto()
    NOT_JSON = auto()
    OTHER_ISSUER = auto()
    NO_KEYS_URL = auto()
    NO_KEY_SET = auto()


class IssuerError(Exception):
    """The issuer can't be reached, or answers what the standards don't say. The message is for the operator.

    Args:
        message: What has happened.
        retry_after: Seconds for which the issuer wants to be left alone, if it says so.
        fault: What is wrong with what it answers; without one its cause says why there is no answer.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, fault: IssuerFault | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.fault = fault


class _AnswerError(ValueError):
    """An answer that isn't what it should be."""

    def __init__(self, fault: IssuerFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def issuer_url(domain: str) -> str:
    """The issuer identifier that a setting names: the exact value of `iss`.

    Args:
        domain: An Auth0 tenant's host (`tenant.eu.auth0.com`, also a custom domain), or the issuer URL of any OpenID
            provider, taken as it stands, with or without a trailing slash.

    Raises:
        ValueError: It is no host and no https URL (http is for loopback only); the message says what to write.
    """
    issuer = domain if "://" in domain else f"https://{domain}/"
    parts = urlsplit(issuer)
    if not _is_plain(issuer) or parts.query or parts.fragment:
        raise ValueError(f"{domain!r} is neither a host like tenant.eu.auth0.com nor an issuer URL")
    if "://" not in domain and "/" in domain:
        raise ValueError(f"{domain!r} is not a host: write tenant.eu.auth0.com, or a URL that starts with https://")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(f"{domain!r} uses http, which is for loopback addresses only: use https")
    return issuer


def document_url(url: str) -> str:
    """The URL of a document of an issuer's, as a setting names it.

    Raises:
        ValueError: It is no https URL (http is for loopback only).
    """
    if not _is_plain(url) or (urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or "")):
        raise ValueError(f"{url!r} is no https URL")
    return url


def _is_plain(url: str) -> bool:
    """Whether it is an http or https URL with a host, a real port, no user, and nothing that has to be escaped."""
    if re.search(r"[^!-~]|[\"',;<>\\^`{|}]", url):
        return False
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("https", "http") and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: `localhost`, or an address in 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Endpoints(NamedTuple):
    """An issuer's authorization and token endpoints."""

    authorization: str
    token: str


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """A key set's usable keys and for how many seconds its answer says that they may be kept."""

    keys: KeyIndex
    lifetime: float


class Issuer:
    """Fetches one issuer's documents. Blocking, so not for an event loop; without memory, but for where the keys are.

    Args:
        url: The issuer identifier, from `issuer_url`.
        algorithms: Which algorithms the keys are for.
        metadata_url: Where its metadata are, from `document_url`; by default where OpenID Connect Discovery says.
        jwks_url: Where its keys are, from `document_url`; by default where its metadata say.
        transport: What carries the requests, for tests; by default the network.
    """

    def __init__(
        self,
        url: str,
        algorithms: Iterable[str],
        *,
        metadata_url: str | None = None,
        jwks_url: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._metadata_url = metadata_url or url.rstrip("/") + "/.well-known/openid-configuration"
        self._jwks_url = jwks_url
        self._algorithms = tuple(algorithms)
        self._transport = transport
        self._loopback = is_loopback(urlsplit(url).hostname or "")
        self._jwks_uri: str | None = None

    def metadata(self) -> dict[str, Any]:
        """Fetch the issuer's metadata.

        Checks that it names exactly this issuer (OpenID Connect Discovery, section 4.3).

        Raises:
            IssuerError: It can't be fetched or isn't this issuer's.
        """
        location = self._metadata_url
        metadata, _ = self._get(location)
        named = metadata.get("issuer")
        if named != self.url:
            raise IssuerError(
                f"{location} says that the issuer is {named!r}, not {self.url!r}. "
                "They must be equal to the character: correct AUTH0_DOMAIN.",
                fault=IssuerFault.OTHER_ISSUER,
            )
        return metadata

    def clock(self) -> float | None:
        """The time by the issuer's clock, in seconds since the epoch; `None` if it doesn't say.

        That is when the answer was made, and for how long a cache has held it (RFC 9110, section 6.6.1; RFC 9111,
        section 5.1).

        Raises:
            IssuerError: The metadata can't be fetched.
        """
        _, headers = self._get(self._metadata_url)
        try:
            made = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return None
        return made.timestamp() + _age(headers)

    def endpoints(self) -> Endpoints:
        """Fetch where people log in and clients get tokens. Where the metadata names no usable URL, Auth0's paths.

        Raises:
            IssuerError: The metadata can't be fetched or isn't this issuer's.
        """
        metadata, usual = self.metadata(), self.usual_endpoints()
        authorization, token = metadata.get("authorization_endpoint"), metadata.get("token_endpoint")
        return Endpoints(
            authorization if self._is_safe(authorization) else usual.authorization,
            token if self._is_safe(token) else usual.token,
        )

    def usual_endpoints(self) -> Endpoints:
        """Where Auth0 has its endpoints."""
        base = self.url.rstrip("/")
        return Endpoints(f"{base}/authorize", f"{base}/oauth/token")

    def fetch_keys(self) -> FetchedKeys:
        """Fetch the key set that the metadata names, and find its usable keys, which may be none.

        Raises:
            IssuerError: Metadata or key set can't be fetched, or aren't what they should be.
        """
        document, headers, location = self._fetch_key_set()
        keys = verification_keys(document, self._algorithms)
        if not keys:
            # Not an outage: an issuer that withdraws its last key means it.
            logger.warning("%s holds no key for %s", location, ", ".join(self._algorithms))
        self._jwks_uri = location
        return FetchedKeys(keys, _lifetime(headers))

    def key_set(self) -> dict[str, Any]:
        """Fetch the key set as it is published, for whoever explains it.

        Raises:
            IssuerError: Metadata or key set can't be fetched, or aren't what they should be.
        """
        return self._fetch_key_set()[0]

    def _fetch_key_set(self) -> tuple[dict[str, Any], Mapping[str, str], str]:
        location = self._jwks_url or self._jwks_uri or self._locate_keys()
        self._jwks_uri = None  # looked up anew if what follows fails
        document, headers = self._get(location)
        if not isinstance(document.get("keys"), list):  # RFC 7517, section 5
            raise IssuerError(f"{location} is not a JWK set", fault=IssuerFault.NO_KEY_SET)
        return document, headers, location

    def _locate_keys(self) -> str:
        location = self.metadata().get("jwks_uri")
        if not self._is_safe(location):
            raise IssuerError(f"{self.url} names no https jwks_uri in its metadata", fault=IssuerFault.NO_KEYS_URL)
        return location

    def _is_safe(self, location: object) -> TypeGuard[str]:
        if not isinstance(location, str) or not _is_plain(location):
            return False
        parts = urlsplit(location)
        # An issuer elsewhere has no business on this machine.
        return is_loopback(parts.hostname or "") == self._loopback and (self._loopback or parts.scheme == "https")

    def _get(self, location: str) -> tuple[dict[str, Any], Mapping[str, str]]:
        # In a thread, because it can be given up whatever it waits for: a resolver, or header fields that drip. Not by
        # an event loop, because in greenlets another one may be running.
        request = _Request(location, self._transport, trust_env=not is_loopback(urlsplit(location).hostname or ""))
        threading.Thread(target=request.run, name="issuer-request", daemon=True).start()
        try:
            return request.answer.result(_DEADLINE)
        except httpx.HTTPStatusError as error:
            raise IssuerError(f"{location} can't be used: {error}", _retry_after(error.response.headers)) from error
        except _AnswerError as error:
            raise IssuerError(f"{location} can't be used: {error}", fault=error.fault) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError, TimeoutError) as error:
            raise IssuerError(f"{location} can't be used: {type(error).__name__}: {error}") from error
        except (OSError, ImportError) as error:
            said = f"{location} can't be asked: {error}. {_ENVIRONMENT}"
            raise IssuerError(said, fault=IssuerFault.ENVIRONMENT) from error
        finally:
            request.give_up()


class _Request:
    """Asks for one document, with a client of its own: there is one in ten minutes, and a pool would only go stale.

    Args:
        location: The document's URL.
        transport: What carries the request; by default the network.
        trust_env: Whether a proxy of the environment is asked; none stands between this machine and itself.
    """

    def __init__(self, location: str, transport: httpx.BaseTransport | None, *, trust_env: bool) -> None:
        self.answer: Future[tuple[dict[str, Any], Mapping[str, str]]] = Future()
        self._location = location
        self._transport = transport
        self._trust_env = trust_env
        self._connections: list[Any] = []
        self._is_over = False

    def run(self) -> None:
        """Ask, and keep the answer or what was raised."""
        try:
            self.answer.set_result(self._ask(httpx.URL(self._location)))
        except BaseException as error:  # noqa: BLE001  # for whoever waits
            self.answer.set_exception(error)

    def give_up(self) -> None:
        """End what still waits. Connections are shut down and not closed, because another thread reads from them."""
        self._is_over = True
        for connection in self._connections:
            _shut_down(connection)

    def _ask(self, location: httpx.URL) -> tuple[dict[str, Any], Mapping[str, str]]:
        with httpx.Client(
            transport=self._transport,
            timeout=_TIMEOUT,
            trust_env=self._trust_env,
            headers=_HEADERS,
            # To the authorities the environment may add, for this machine, too. Loading them takes 20 ms.
            verify=httpx.create_ssl_context() if location.scheme == "https" else False,
        ) as client:
            for _ in range(_MAX_REDIRECTS):
                with client.stream("GET", location, extensions={"trace": self._trace}) as response:
                    if response.next_request is None:
                        return _json_object(response), response.headers
                    if _origin(response.next_request.url) != _origin(location):
                        raise _AnswerError(IssuerFault.REDIRECT, "the answer redirects to another origin")
                    location = response.next_request.url
            raise _AnswerError(IssuerFault.REDIRECT, "the answer redirects again and again")

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connections.append(info["return_value"])
            if self._is_over:
                _shut_down(info["return_value"])


def _shut_down(connection: Any) -> None:
    with suppress(OSError):
        connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


_HEADERS = {
    "Accept": "application/json, application/jwk-set+json",
    "Accept-Encoding": "identity",
    "User-Agent": "resource-server",
}
_ENVIRONMENT = "See what SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say"


def _json_object(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    if response.is_stream_consumed:  # as of a transport for tests that has the whole answer
        encoding, parts = "", iter([response.content])
    else:
        encoding, parts = response.headers.get("content-encoding", "").strip().lower(), response.iter_raw()
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > _MAX_BYTES:
            raise _AnswerError(IssuerFault.TOO_LONG, _TOO_LONG)
    try:
        document = json.loads(_decoded(bytes(body), encoding))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _AnswerError(IssuerFault.NOT_JSON, f"the answer is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _AnswerError(IssuerFault.NOT_JSON, "the answer is not a JSON object")
    return document


def _decoded(body: bytes, encoding: str) -> bytes:
    """What has been encoded (RFC 9110, section 8.4.1); some servers do so although nobody has asked for it."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise _AnswerError(IssuerFault.ENCODING, f"the answer is encoded as {encoding!r}, which was not asked for")
    try:
        unzip = zlib.decompressobj(wbits=31)
        decoded = unzip.decompress(body, _MAX_BYTES + 1)
    except zlib.error as error:
        raise _AnswerError(IssuerFault.DAMAGED, f"the answer is no gzip: {error}") from error
    if len(decoded) > _MAX_BYTES:
        raise _AnswerError(IssuerFault.TOO_LONG, _TOO_LONG)
    if not unzip.eof:
        raise _AnswerError(IssuerFault.DAMAGED, "the answer is no gzip: it ends too early")
    return decoded


_TOO_LONG = "the answer is too long"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _lifetime(headers: Mapping[str, str]) -> float:
    # RFC 9111, section 5.2.2.1. s-maxage is for shared caches, which this is not.
    said = re.search(r"(?:^|[\s,])max-age=\"?(\d{1,9})", headers.get("cache-control", ""), re.IGNORECASE)
    if not said:
        return _DEFAULT_LIFETIME
    return min(max(int(said[1]) - _age(headers), _MIN_LIFETIME), _MAX_LIFETIME)


def _age(headers: Mapping[str, str]) -> int:
    """For how many seconds a cache has held an answer (RFC 9111, section 5.1)."""
    age = headers.get("age", "0")
    return int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """For how many seconds the issuer wants to be left alone (RFC 9110, section 10.2.3)."""
    said = headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0)
    except ValueError:
        return None
