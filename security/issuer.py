"""An issuer, its metadata and its key set, over HTTP (OpenID Connect Discovery; RFC 8414; RFC 7517)."""

import ipaddress
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from security.keys import KeyIndex, verification_keys

_TIMEOUT = 5.0  # seconds for each of connect, read and write
_DEADLINE = 10.0  # seconds for one document, however slowly it drips
_MAX_BYTES = 512 * 1024
_MAX_REDIRECTS = 3
_DEFAULT_LIFETIME, _MIN_LIFETIME, _MAX_LIFETIME = 600, 60, 86_400  # seconds


class IssuerError(Exception):
    """The issuer can't be reached, or answers what the standards don't say. The message is for the operator."""


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
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f"{domain!r} is neither a host like tenant.eu.auth0.com nor an issuer URL")
    if not re.fullmatch(r"[\x21-\x7e]+", issuer) or ("://" not in domain and "/" in domain):
        raise ValueError(f"{domain!r} is not a host: write tenant.eu.auth0.com, or a URL that starts with https://")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{domain!r} uses http, which is for loopback addresses only: use https")
    return issuer


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: `localhost`, or an address in 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """A key set's usable keys and for how many seconds its answer says that they may be kept."""

    keys: KeyIndex
    lifetime: float


class Issuer:
    """Fetches one issuer's documents. Blocking and without memory, but for where the key set is.

    Args:
        url: The issuer identifier, from `issuer_url`.
        algorithms: Which algorithms the keys are for.
        transport: What carries the requests, for tests; by default the network.
    """

    def __init__(self, url: str, algorithms: Iterable[str], *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
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
        location = self.url.rstrip("/") + "/.well-known/openid-configuration"
        metadata, _ = self._get(location)
        named = metadata.get("issuer")
        if named != self.url:
            raise IssuerError(
                f"{location} says that the issuer is {named!r}, not {self.url!r}. "
                "They must be equal to the character: correct AUTH0_DOMAIN."
            )
        return metadata

    def fetch_keys(self) -> FetchedKeys:
        """Fetch the key set that the metadata names, and keep its usable keys.

        Raises:
            IssuerError: Metadata or key set can't be fetched, or aren't what they should be.
        """
        location = self._jwks_uri or self._locate_keys()
        self._jwks_uri = None  # looked up anew if what follows fails
        document, headers = self._get(location)
        try:
            keys = verification_keys(document, self._algorithms)
        except ValueError as error:
            raise IssuerError(f"{location} is {error}") from error
        if not keys:
            raise IssuerError(f"{location} holds no key for {', '.join(self._algorithms)}")
        self._jwks_uri = location
        return FetchedKeys(keys, _lifetime(headers))

    def _locate_keys(self) -> str:
        location = self.metadata().get("jwks_uri")
        if not isinstance(location, str) or not self._is_safe(location):
            raise IssuerError(f"{self.url} names no https jwks_uri in its metadata")
        return location

    def _is_safe(self, location: str) -> bool:
        try:
            parts = urlsplit(location)
        except ValueError:
            return False
        loopback = self._loopback and is_loopback(parts.hostname or "")
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and loopback))

    def _get(self, location: str) -> tuple[dict[str, Any], Mapping[str, str]]:
        # A client per fetch: there is one every ten minutes, so a pooled connection would only be a stale one.
        # No proxy from the environment stands between this machine and itself.
        try:
            with httpx.Client(
                transport=self._transport, timeout=_TIMEOUT, trust_env=not self._loopback, headers=_HEADERS
            ) as client:
                return _get_json(client, httpx.URL(location))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise IssuerError(f"{location} can't be used: {type(error).__name__}: {error}") from error


_HEADERS = {"Accept": "application/json"}


def _get_json(client: httpx.Client, location: httpx.URL) -> tuple[dict[str, Any], Mapping[str, str]]:
    deadline = time.monotonic() + _DEADLINE
    for _ in range(_MAX_REDIRECTS):
        with client.stream("GET", location) as response:
            if response.next_request is None:
                response.raise_for_status()
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES or time.monotonic() > deadline:
                        raise ValueError("the answer is too long or too slow")
                document = httpx.Response(200, content=bytes(body)).json()
                if not isinstance(document, dict):
                    raise ValueError("the answer is not a JSON object")
                return document, response.headers
            if _origin(response.next_request.url) != _origin(location):
                raise ValueError("the answer redirects to another origin")
            location = response.next_request.url
    raise ValueError("the answer redirects again and again")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _lifetime(headers: Mapping[str, str]) -> float:
    # RFC 9111, section 5.2.2.1. s-maxage is for shared caches, which this is not.
    age = re.search(r"(?:^|[\s,])max-age=\"?(\d{1,9})", headers.get("cache-control", ""), re.IGNORECASE)
    return min(max(int(age[1]), _MIN_LIFETIME), _MAX_LIFETIME) if age else _DEFAULT_LIFETIME
