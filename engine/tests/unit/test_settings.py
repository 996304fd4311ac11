"""Settings: what each variable may be, and what a person is told when it isn't."""

from pathlib import Path

import pytest

from resource_server.settings import Settings, SettingsError
from resource_server.validating import validator_options
from tests.sample import create_app

ISSUER = "https://tenant.eu.auth0.com/"
TENANT = {"AUTH0_DOMAIN": "tenant.eu.auth0.com", "AUTH0_AUDIENCE": "https://api.example.com"}


def test_tenant_host_becomes_its_issuer_url() -> None:
    assert Settings.from_environ(TENANT) == Settings(
        issuers=("https://tenant.eu.auth0.com/",), audience="https://api.example.com", host="127.0.0.1", port=3010
    )


@pytest.mark.parametrize(
    ("domain", "issuers"),
    [
        ("https://tenant.eu.auth0.com/", ("https://tenant.eu.auth0.com/",)),
        ("https://idp.example.com/realms/r", ("https://idp.example.com/realms/r",)),
        ("http://127.0.0.1:9000/", ("http://127.0.0.1:9000/",)),
        ("http://localhost:9000", ("http://localhost:9000",)),
        ("http://[::1]:9000/", ("http://[::1]:9000/",)),
        ("login.example.com, tenant.eu.auth0.com", ("https://login.example.com/", "https://tenant.eu.auth0.com/")),
    ],
)
def test_issuer_url_is_taken_as_it_stands(domain: str, issuers: tuple[str, ...]) -> None:
    assert Settings.from_environ({**TENANT, "AUTH0_DOMAIN": domain}).issuers == issuers


def test_api_identifier_is_read_as_the_audience() -> None:
    environ = {"AUTH0_DOMAIN": "tenant.eu.auth0.com", "API_IDENTIFIER": "https://a", "HOST": "::", "PORT": "4000"}
    settings = Settings.from_environ(environ)
    assert (settings.audience, settings.host, settings.port) == ("https://a", "::", 4000)


def test_how_tokens_are_checked_can_be_set() -> None:
    checks = {
        "TOKEN_ALGORITHMS": "ES256, PS256",
        "TOKEN_LEEWAY": "0",
        "TOKEN_MAX_AGE": "3600",
        "TOKEN_PERMISSIONS": "True",
        "KEYS_MAX_STALE": "60",
        "TOKEN_CACHE": "0",
        "TOKEN_SCOPE_CLAIMS": "roles, realm_access.roles",
        "TOKEN_SUBJECT": "false",
        "TOKEN_PROFILE": "rfc9068",
        "METADATA_URL": "https://inside.example.com/metadata",
        "JWKS_URL": f"{ISSUER}=https://inside.example.com/keys?a=b",
    }
    assert validator_options(Settings.from_environ({**TENANT, **checks})) == {
        "algorithms": ("ES256", "PS256"),
        "leeway": 0,
        "max_age": 3600,
        "permissions": True,
        "max_stale": 60,
        "token_cache_size": 0,
        "dpop": None,
        "mtls": None,
        "transport": None,
        "scope_claims": ("roles", "realm_access.roles"),
        "subject": False,
        "rfc9068": True,
        "metadata_urls": {ISSUER: "https://inside.example.com/metadata"},
        "jwks_urls": {ISSUER: "https://inside.example.com/keys?a=b"},
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"AUTH0_DOMAIN": ""}, "AUTH0_DOMAIN is not set. Set it to your tenant's host, like tenant.eu.auth0.com."),
        ({"AUTH0_DOMAIN": " , "}, "AUTH0_DOMAIN is not set."),
        ({"AUTH0_AUDIENCE": ""}, "AUTH0_AUDIENCE is not set. Set it to your API's identifier, as registered in Auth0."),
        ({"AUTH0_DOMAIN": "http://tenant.eu.auth0.com/"}, "which is for loopback addresses only: use https."),
        ({"AUTH0_DOMAIN": "tenant.eu.auth0.com/path"}, "is not a host"),
        ({"AUTH0_DOMAIN": "ftp://tenant/"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://a:b@tenant/"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://tenant/?a=b"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "ten ant"}, "is neither a host like"),
        ({"AUTH0_DOMAIN": "http://127.0.0.1.example.com/"}, "which is for loopback addresses only"),
        ({"AUTH0_DOMAIN": "https://[::1"}, "AUTH0_DOMAIN: "),
        ({"AUTH0_DOMAIN": "https://tenant:port/"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://tenant:0/"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://tenant:99999/"}, "is neither a host like tenant.eu.auth0.com nor an issuer URL."),
        ({"AUTH0_DOMAIN": "https://:password@tenant/"}, "is neither a host"),
        ({"AUTH0_AUDIENCE": 'a"b'}, "AUTH0_AUDIENCE is 'a\"b'. Set it to the identifier of one API"),
        *(
            ({"AUTH0_AUDIENCE": each}, "Set it to the identifier of one API")
            for each in ("a b", " a", "'a'", "a,b", "a\n")
        ),
        ({"JWKS_URL": "http://keys.example.com/"}, "JWKS_URL: 'http://keys.example.com/' is no https URL. Write a URL"),
        ({"JWKS_URL": "/keys"}, "JWKS_URL: '/keys' is no https URL."),
        ({"JWKS_URL": "https://a.example.com/,https://b.example.com/"}, "JWKS_URL has two URLs for one issuer."),
        (
            {"AUTH0_DOMAIN": "a.example.com,b.example.com", "JWKS_URL": "https://a.example.com/"},
            "JWKS_URL says not which issuer is meant.",
        ),
        ({"METADATA_URL": "https://x/=https://a.example.com/"}, "METADATA_URL names 'https://x/', which AUTH0_DOMAIN"),
        ({"TOKEN_PROFILE": "keycloak"}, "TOKEN_PROFILE is 'keycloak'. Set it to auth0 or rfc9068."),
        ({"AUTH0_AUDIENCE": "bücher"}, "AUTH0_AUDIENCE is 'bücher'. Set it to the identifier of one API"),
        ({"PORT": "65536"}, "PORT is '65536'. Set it to a number from 0 to 65535."),
        ({"PORT": "http"}, "PORT is 'http'."),
        ({"PORT": "²"}, "PORT is '²'."),
        ({"TOKEN_ALGORITHMS": "RS256,HS256,none"}, "TOKEN_ALGORITHMS names HS256, none. Set it to some of ES256, "),
        ({"MAX_REQUESTS": "0"}, "MAX_REQUESTS is '0'. Set it to a number from 1 to 10000."),
        ({"SHUTDOWN_SECONDS": "0"}, "SHUTDOWN_SECONDS is '0'. Set it to a number from 1 to 3600."),
        ({"TOKEN_LEEWAY": "-1"}, "TOKEN_LEEWAY is '-1'. Set it to a number from 0 to 300."),
        ({"TOKEN_LEEWAY": "301"}, "TOKEN_LEEWAY is '301'. Set it to a number from 0 to 300."),
        ({"TOKEN_MAX_AGE": "1h"}, "TOKEN_MAX_AGE is '1h'."),
        ({"KEYS_MAX_STALE": "1.5"}, "KEYS_MAX_STALE is '1.5'."),
        ({"TOKEN_PERMISSIONS": "yes"}, "TOKEN_PERMISSIONS is 'yes'. Set it to true or false."),
    ],
)
def test_unusable_setting_is_named_with_what_to_set(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({**TENANT, **changes})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("environ", "issuer"),
    [
        ({}, "http://127.0.0.1:3011/"),
        ({"PORT": "4000"}, "http://127.0.0.1:4001/"),
        ({"HOST": "::1"}, "http://[::1]:3011/"),
        ({"HOST": "localhost", "PORT": "0"}, "http://localhost:0/"),
    ],
)
def test_development_without_a_domain_asks_for_the_development_issuer(environ: dict[str, str], issuer: str) -> None:
    settings = Settings.from_environ(environ, development=True)
    assert (settings.issuers, settings.development_issuer, settings.development) == ((issuer,), True, True)


def test_development_issuer_needs_the_next_port() -> None:
    with pytest.raises(SettingsError, match="needs the port after it"):
        Settings.from_environ({"PORT": "65535"}, development=True)
    assert Settings.from_environ({**TENANT, "PORT": "65535"}, development=True).port == 65_535


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        (
            {"PUBLIC_URL": "api.example.com"},
            "PUBLIC_URL is 'api.example.com'. Set it to a URL in its normal form, like",
        ),
        ({"PUBLIC_URL": "https://api.example.com/?a=b"}, "PUBLIC_URL is 'https://api.example.com/?a=b'. Set it to a"),
        ({"PUBLIC_URL": 'https://h/a"b'}, "PUBLIC_URL is"),
        ({"PUBLIC_URL": "HTTPS://API.example.com:443/a/../b"}, "PUBLIC_URL is"),
        ({"PUBLIC_URL": "https://api.example.com#a"}, "PUBLIC_URL is 'https://api.example.com#a'. Set it to a"),
        ({"PUBLIC_URL": "https://ada@api.example.com"}, "PUBLIC_URL is 'https://ada@api.example.com'. Set it to a URL"),
        ({"PUBLIC_URL": "https://[api"}, "PUBLIC_URL is 'https://[api'. Set it to a URL in its normal form, like"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS names '*'. Write origins like https://app.example.com."),
        ({"CORS_ORIGINS": "https://a.example.com/"}, "CORS_ORIGINS names 'https://a.example.com/'."),
        ({"TRUSTED_PROXIES": "proxy"}, "TRUSTED_PROXIES: 'proxy' does not appear to be"),
        ({"CLIENT_CERTIFICATE_HEADER": "a b"}, "CLIENT_CERTIFICATE_HEADER names 'a b'. Write names of header fields,"),
        ({"CLIENT_CERTIFICATE_HEADER": "a,b"}, "CLIENT_CERTIFICATE_HEADER is 'a,b'. Set it to the name of one header"),
        ({"CLIENT_CERTIFICATE_HEADER": ","}, "CLIENT_CERTIFICATE_HEADER is ','. Set it to the name of one header"),
        ({"CLIENT_CERTIFICATE_HEADER": "a"}, "CLIENT_CERTIFICATE_HEADER is set, but anybody can write a header field."),
        ({"CLIENT_CERTIFICATE_HEADER": "a", "MTLS": "disabled"}, "CLIENT_CERTIFICATE_HEADER is set, but anybody"),
        ({"MTLS": "on"}, "MTLS is 'on'. Set it to allowed, required or disabled."),
        ({"MTLS": "allowed"}, "MTLS is allowed, but TLS ends at a proxy. Set CLIENT_CERTIFICATE_HEADER"),
        ({"MTLS": "required", "TRUSTED_PROXIES": "::1"}, "MTLS is required, but TLS ends at a proxy."),
    ],
)
def test_unusable_setting_of_the_edge_is_named(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({**TENANT, **environ})
    assert str(error.value).startswith(sentence)


def test_edge_can_be_set() -> None:
    environ = {
        "AUTH0_CLIENT_ID": "abc",
        "PUBLIC_URL": "https://api.example.com/messages/",
        "CORS_ORIGINS": "https://a.example.com, http://localhost:3000",
        "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
    }
    settings = Settings.from_environ({**TENANT, **environ})
    assert (settings.client_id, settings.public_url) == ("abc", "https://api.example.com/messages")
    assert settings.cors_origins == ("https://a.example.com", "http://localhost:3000")
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_pages_of_other_origins_are_allowed_in_development_only() -> None:
    assert Settings.from_environ(TENANT).cors_origins == ()
    assert Settings.from_environ(TENANT, development=True).cors_origins == ("http://localhost:3000",)


def test_development_with_a_domain_asks_for_no_development_issuer() -> None:
    settings = Settings.from_environ(TENANT, development=True)
    assert (settings.development, settings.development_issuer) == (True, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "api.example.com"])  # noqa: S104  # they are refused
def test_development_issuer_is_refused_beyond_this_machine(host: str) -> None:
    with pytest.raises(SettingsError, match="for this machine only"):
        Settings.from_environ({"HOST": host}, development=True)


def test_dotenv_file_is_read_below_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AUTH0_DOMAIN=file.example.com\nAUTH0_AUDIENCE=https://file\nPORT=4000\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTH0_AUDIENCE", "https://environment")
    for name in ("AUTH0_DOMAIN", "PORT", "HOST"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.load()
    assert settings.issuers == ("https://file.example.com/",)
    assert (settings.audience, settings.port) == ("https://environment", 4000)


def test_two_applications_with_different_settings_live_in_one_process() -> None:
    one, other = (create_app(Settings(issuers=(f"https://{name}/",), audience=f"https://{name}")) for name in "ab")
    challenges = [app.test_client().get("/api/private").headers["www-authenticate"] for app in (one, other, one)]
    assert challenges == ['Bearer realm="https://a"', 'Bearer realm="https://b"', 'Bearer realm="https://a"']


def test_header_fields_of_pages_are_names() -> None:
    settings = Settings.from_environ({**TENANT, "CORS_HEADERS": "X-Requested-With, sentry-trace"})
    assert settings.cors_headers == ("X-Requested-With", "sentry-trace")
    with pytest.raises(SettingsError, match="CORS_HEADERS names 'X Y'"):
        Settings.from_environ({**TENANT, "CORS_HEADERS": "X Y"})


def certificates(**variables: str) -> tuple[str, list[str], bool] | None:
    settings = Settings.from_environ({**TENANT, "TRUSTED_PROXIES": "10.0.0.0/8, ::1", **variables})
    mtls = validator_options(settings)["mtls"]
    return mtls and (mtls.header, [str(network) for network in mtls.trusted_proxies], mtls.required)


def test_certificates_are_looked_at_where_it_is_known_who_says_them() -> None:
    proxies = ["10.0.0.0/8", "::1/128"]
    assert certificates() is None
    assert certificates(MTLS="disabled") is None
    assert certificates(CLIENT_CERTIFICATE_HEADER="X-A", MTLS="disabled") is None
    assert certificates(CLIENT_CERTIFICATE_HEADER="X-A") == ("x-a", proxies, False)
    assert certificates(CLIENT_CERTIFICATE_HEADER="X-A", MTLS="allowed") == ("x-a", proxies, False)
    assert certificates(CLIENT_CERTIFICATE_HEADER="X-A", MTLS="required") == ("x-a", proxies, True)


def test_settings_that_no_variable_has_made_are_checked_alike() -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        Settings(client_certificate_header="X-A")
    with pytest.raises(SettingsError, match="CLIENT_CERTIFICATE_HEADER"):
        Settings(mtls="required")
