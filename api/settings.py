"""What can be set from outside. The only module that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from security.errors import QUOTABLE
from security.issuer import is_loopback, issuer_url

SPECIFICATION = Path(__file__).resolve().parent.parent / "openapi.yaml"

_DEVELOPMENT_AUDIENCE = "https://api.example.com"


class SettingsError(ValueError):
    """A setting is missing or unusable. The message says what to set."""


@dataclass(frozen=True)
class Settings:
    """The settings of one application.

    Args:
        issuers: The issuer URLs that are trusted, exact to the character.
        audience: This API's identifier.
        host: The address to listen on.
        port: The TCP port to listen on; 0 takes any that is free.
        development: Whether responses are validated and problems may say more.
        development_issuer: Whether the one issuer is the embedded one, which then has to be started.
        specification: The contract.
    """

    issuers: tuple[str, ...]
    audience: str
    host: str = "127.0.0.1"
    port: int = 3010
    development: bool = False
    development_issuer: bool = False
    specification: Path = SPECIFICATION

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, development: bool = False) -> "Settings":
        """Read the settings from environment variables; an empty one counts as not set.

        Args:
            environ: The variables, by name.
            development: Whether `AUTH0_DOMAIN` may be missing, which asks for the development issuer.

        Raises:
            SettingsError: A variable is missing or unusable.
        """
        host = environ.get("HOST") or cls.host
        port = _port(environ.get("PORT") or str(cls.port))
        domains = [domain.strip() for domain in environ.get("AUTH0_DOMAIN", "").split(",") if domain.strip()]
        audience = environ.get("AUTH0_AUDIENCE") or environ.get("API_IDENTIFIER")
        if not domains and development:
            return cls(
                issuers=(_development_issuer(host, port),),
                audience=audience or _DEVELOPMENT_AUDIENCE,
                host=host,
                port=port,
                development=True,
                development_issuer=True,
            )
        if not domains:
            raise SettingsError("AUTH0_DOMAIN is not set. Set it to your tenant's host, like tenant.eu.auth0.com.")
        if not audience:
            raise SettingsError("AUTH0_AUDIENCE is not set. Set it to your API's identifier, as registered in Auth0.")
        if not QUOTABLE.fullmatch(audience):
            raise SettingsError(
                f"AUTH0_AUDIENCE is {audience!r}. Use ASCII without quotes and backslashes, like a URL."
            )
        try:
            issuers = tuple(map(issuer_url, domains))
        except ValueError as error:
            raise SettingsError(f"AUTH0_DOMAIN: {error}.") from error
        return cls(issuers=issuers, audience=audience, host=host, port=port, development=development)

    @classmethod
    def load(cls, *, development: bool = False) -> "Settings":
        """Read the settings of this process: its environment, over a `.env` file in the current directory.

        Raises:
            SettingsError: As `from_environ`.
        """
        dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        return cls.from_environ(dotenv | dict(os.environ), development=development)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65_536):
        raise SettingsError(f"PORT is {text!r}. Set it to a number from 0 to 65535.")
    return int(text)


def _development_issuer(host: str, port: int) -> str:
    if not is_loopback(host):
        raise SettingsError(
            f"HOST is {host!r}, but the development issuer gives tokens to anybody, so it is for this machine only. "
            "Set AUTH0_DOMAIN and AUTH0_AUDIENCE, or HOST=127.0.0.1."
        )
    return development_issuer_url(host, port + 1 if port else 0)


def development_issuer_url(host: str, port: int) -> str:
    """The development issuer's URL, with the final slash that Auth0's have."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
