"""A pytest plugin: a client of the application, and access tokens for any claims; no server, and no issuer.

It replaces where the keys come from, and nothing else: signature, claims, scopes, proofs, rules and the handler run as
in production. In a `conftest.py`::

    pytest_plugins = ["resource_server.testing"]

The ini option `application` names the factory, by default `api.app:create_app`. Overriding the fixture `settings`
tests other settings.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from resource_server.settings import Settings
from resource_server.testing.issuer import TestIssuer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette tells its users to replace httpx
    from starlette.testclient import TestClient as Client

if TYPE_CHECKING:
    from resource_server.serving import FlaskApp

__all__ = ["AccessTokens", "Client", "TestIssuer", "access_token", "app", "client", "issuer", "settings"]

AccessTokens = Callable[..., str]
"""Makes an access token of claims."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the application."""
    parser.addini("application", "The function that makes the application of settings.", default="api.app:create_app")


def pytest_configure(config: pytest.Config) -> None:
    """Have what Connexion imports warn nobody who can't change it."""
    config.addinivalue_line("filterwarnings", "ignore:Using `httpx` with `starlette.testclient`")
    config.addinivalue_line("filterwarnings", r"ignore:jsonschema\.:DeprecationWarning")


@pytest.fixture(scope="session")
def issuer() -> TestIssuer:
    """The issuer whose tokens the application takes. Nobody serves it: its keys are handed over."""
    return TestIssuer()


@pytest.fixture(scope="session")
def settings(issuer: TestIssuer) -> Settings:
    """The settings of the application, whatever the environment says. Answers are held against the contract."""
    return Settings(
        issuers=(issuer.url,),
        audience="https://api.example.com",
        port=0,
        public_url="http://testserver",
        development=True,
        transport=issuer.transport,
    )


@pytest.fixture(scope="session")
def app(settings: Settings, pytestconfig: pytest.Config) -> "FlaskApp":
    """The application, made as in production."""
    from resource_server.serving.making import make

    return make(pytestconfig.getini("application"), settings)


@pytest.fixture
def client(app: "FlaskApp") -> Iterator[Client]:
    """A client of the application; what starts with a worker starts and stops with it."""
    with app.test_client(raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def access_token(issuer: TestIssuer, settings: Settings) -> AccessTokens:
    """Makes access tokens: good ones for the application, but for the claims that are given.

    `access_token(sub="auth0|ada", scope="read:messages")` is good; `access_token(aud="https://another")` isn't. A claim
    that is `None` is left out. The settings' `development_claims` are in each.
    """

    def make_token(**claims: Any) -> str:
        return issuer.token({"aud": settings.audience, **(settings.development_claims or {}), **claims})

    return make_token
