"""What people have sent for an access token, one case each, with the advice that each must get.

The cases come from public threads, which are named; the tokens are made here.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from resource_server.developing.contract_tests.forging import ABSENT, mac, segment
from tests.tenant import AUDIENCE, Tenant, rsa_key

Make = Callable[[Tenant], str]

GITHUB = "https://github.com"


@dataclass(frozen=True)
class Said:
    """One case.

    Args:
        name: What has happened.
        source: The thread that it comes from.
        make: The text that is sent.
        kind: What kind of thing it is, by the doctor's names.
        advice: How the doctor's last sentence begins; empty if nothing is wrong.
        settings: What is configured otherwise.
        environment: The same, where it depends on the issuer.
    """

    name: str
    source: str
    make: Make
    kind: str
    advice: str
    settings: dict[str, Any] = field(default_factory=dict)
    environment: Callable[[Tenant], dict[str, Any]] = lambda _: {}

    def changes(self, tenant: Tenant) -> dict[str, Any]:
        """What is configured otherwise than usual."""
        return {**self.settings, **self.environment(tenant)}


def claims(**changed: Any) -> Make:
    """A token of the issuer's, with changed claims."""
    return lambda tenant: tenant.token(**changed)


def good(change: Callable[[str], str]) -> Make:
    """A good token, in something else or not whole."""
    return lambda tenant: change(tenant.token())


def text(constant: str) -> Make:
    return lambda _: constant


def encrypted(**header: Any) -> Make:
    """What looks like a JWE; only its header can be read anyway."""
    return text(".".join([segment(header), "", "AAAAAAAAAAAAAAAA", "A" * 80, "A" * 22]))


CLIENT = "AbCdEfGhIjKlMnOpQrStUvWxYz012345"
OF_A_PERSON = {"azp": ABSENT, "scope": ABSENT, "aud": CLIENT, "nickname": "ada", "email": "ada@example.com", "sid": "x"}
ID_TOKEN = "This is an ID token, which is for the application that logs users in: send access_token"
NO_AUDIENCE = "Auth0 issues such a token when the request names no `audience`."
LOOKED_FOR = "Request scope=read:messages with the token; in Auth0 the permission must exist"

NO_TOKENS = [
    Said("an opaque token", f"{GITHUB}/auth0/nextjs-auth0/issues/12", text("6RvJb3Tu9bxGOUIRV7tsiT7bnB0lVBiX"), "unknown", NO_AUDIENCE),
    Said("too short to be a JWT", f"{GITHUB}/auth0/auth0-spa-js/issues/111", text("v9xKjqcpmgPg4esf9PMDX9T5MEjhAIxt"), "unknown", NO_AUDIENCE),
    Said("an opaque token of five parts", f"{GITHUB}/auth0/auth0-spa-js/issues/1008", encrypted(alg="dir", enc="A256GCM", iss="https://tenant.auth0.com/"), "opaque", "Auth0 issues such a token when the request names no audience: send audience="),
    Said("an encrypted access token", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/143", encrypted(alg="RSA-OAEP", enc="A256CBC-HS512", kid="1", typ="at+jwt"), "jwe", "Have it issued without encryption"),
    Said("the session cookie of a web application", f"{GITHUB}/auth0/go-jwt-middleware/issues/292", encrypted(alg="dir", enc="A256GCM", iat=1, uat=2, exp=3), "session_cookie", "A session cookie was sent"),
    Said("the session cookie with its name", f"{GITHUB}/auth0/nextjs-auth0/issues/504", lambda tenant: "appSession=" + encrypted(alg="dir", enc="A256GCM", iat=1)(tenant), "session_cookie", "A session cookie was sent"),
    Said("the session token of Auth.js", f"{GITHUB}/nextauthjs/next-auth/issues/5904", encrypted(alg="dir", enc="A256CBC-HS512", kid="x"), "session_cookie", "A session cookie was sent"),
    Said("the word null", f"{GITHUB}/bcgov/issuer-kit/pull/326", text("null"), "unset", "The client sent the word null: it has no token yet."),
    Said("the word undefined", f"{GITHUB}/auth0/auth0-react/issues/1186", text("undefined"), "unset", "The client sent the word undefined"),
    Said("nothing, before the login", f"{GITHUB}/yuchiu/Netflix-Clone/issues/2", text(""), "empty", "Nothing was given"),
    Said("a function, not what it returns", f"{GITHUB}/QuantiModo/quantimodo-android-chrome-ios-web-app/pull/451", text("function () { var tokenInGetParams"), "object", "The client sent an object in place of its token"),
    Said("an assertion in Base64", f"{GITHUB}/CompassSecurity/SAMLRaider/issues/8", text(b64encode(b'<samlp:Response ID="_1" Version="2.0"></samlp:Response>').decode()), "saml", "This is a SAML assertion"),
    Said("an assertion as it is", f"{GITHUB}/node-saml/passport-saml/issues/115", text('<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>'), "saml", "This is a SAML assertion"),
    Said("the token of a social login", f"{GITHUB}/supabase/auth/issues/1418", text("gho_16C7e42F292c6912E7710c838347Ae178B4a"), "api_key", "This is a key or token of GitHub"),
]

HIDDEN = [
    Said("a whole token response, as Python writes it", f"{GITHUB}/auth0/auth0-python/issues/62", good(lambda token: f"Bearer {{'access_token': '{token}', 'expires_in': 86400, 'token_type': 'Bearer'}}"), "token_response", "A whole token response was sent"),
    Said("a whole token response, as JSON", f"{GITHUB}/sitefinitysteve/nativescript-auth0/issues/65", good(lambda token: json.dumps({"access_token": token, "token_type": "Bearer", "id_token": token})), "token_response", "A whole token response was sent"),
    Said("Bearer twice", f"{GITHUB}/szerhusenBC/jwt-spring-security-demo/issues/65", good(lambda token: f"Bearer Bearer {token}"), "scheme_twice", "Bearer was sent twice"),
    Said("no space after Bearer", f"{GITHUB}/allegro/allegro-api/issues/3967", good(lambda token: f"Bearer{token}"), "scheme_joined", "A space is missing between Bearer and the token."),
    Said("two credentials in one field", f"{GITHUB}/allegro/allegro-api/issues/3967", good(lambda token: f"Bearer {token}, Basic YWRhOmJlbg=="), "unknown", "After Bearer there must be one token, and nothing else"),
    Said("the scheme JWT", f"{GITHUB}/FusionAuth/fusionauth-python-client/issues/4", good(lambda token: f"JWT {token}"), "other_scheme", "The scheme is JWT: it has to be Bearer"),
    Said("the scheme Token", f"{GITHUB}/OSMCha/osmcha-frontend/issues/346", good(lambda token: f"Token {token}"), "other_scheme", "The scheme is Token: it has to be Bearer"),
    Said("Python's bytes", f"{GITHUB}/datopian/giftless-client/issues/3", good(lambda token: f"b'{token}'"), "bytes", "Python's b'…' was sent around the token"),
    Said("encoded once more", f"{GITHUB}/auth0/auth0-spa-js/issues/838", good(lambda token: b64encode(token.encode()).decode()), "encoded", "The token was encoded in Base64 once more (btoa)"),
    Said("a line break at the end", f"{GITHUB}/zalando-nakadi/fahrschein/issues/398", good(lambda token: f"{token}\n"), "wrapped", "White space got into the token"),
    Said("a carriage return at the end", f"{GITHUB}/marco79cgn/ard-plus-dl/issues/1", good(lambda token: f"{token}\r"), "wrapped", "White space got into the token"),
    Said("not copied to its end", f"{GITHUB}/clintmod/koa-jwt-login-example/issues/3", good(lambda token: token[:-42]), "access_token", "The end of the signature is missing"),
    Said("not copied to its end, within a character", f"{GITHUB}/clintmod/koa-jwt-login-example/issues/3", good(lambda token: token[:-41] + "-"), "cut", "The JWT is damaged: copy it anew"),
    Said("BEARER in capitals", f"{GITHUB}/nhost/hasura-backend-plus/issues/300", good(lambda token: f"BEARER {token}"), "access_token", "Give a client that adds Bearer itself the token alone."),
]

OTHER_TOKENS = [
    Said("an ID token, whose audience is a client", f"{GITHUB}/auth0/nextjs-auth0/issues/613", claims(**OF_A_PERSON), "id_token", ID_TOKEN),
    Said("an ID token of a single-page application", f"{GITHUB}/auth0-samples/auth0-python-api-samples/issues/13", claims(**OF_A_PERSON, nonce="n"), "id_token", ID_TOKEN),
    Said("an ID token, for an API that is configured for it", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/69", claims(**OF_A_PERSON, nonce="n"), "id_token", ID_TOKEN, {"audience": CLIENT}),
    Said("a Client ID as the audience of the API", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/69", claims(azp=CLIENT), "access_token", "AUTH0_AUDIENCE is a Client ID", {"audience": CLIENT}),
    Said("a logout token", f"{GITHUB}/OpenLiberty/open-liberty/pull/27288", lambda tenant: tenant.token({"typ": "logout+jwt"}, events={"http://schemas.openid.net/event/backchannel-logout": {}}), "logout_token", "This is a logout token"),
    Said("a token of the Management API", f"{GITHUB}/auth0/react-native-auth0/issues/260", claims(aud="https://tenant.auth0.com/api/v2/"), "access_token", "This token is for Auth0's Management API"),
    Said("a token for /userinfo", f"{GITHUB}/auth0-blog/react-tutorial/issues/1", claims(aud="https://bk-tmp.auth0.com/userinfo"), "access_token", "This token is for /userinfo only"),
    Said("a token bound to a key, sent as Bearer", f"{GITHUB}/bluesky-social/atproto/pull/4333", claims(cnf={"jkt": "x"}), "access_token", "It has `cnf`. Send it as `DPoP` with a proof"),
]

CLAIMS = [
    Said("the final slash of the audience", f"{GITHUB}/OpenBeta/open-tacos/pull/1446", claims(aud=f"{AUDIENCE}/"), "access_token", "Only the final slash differs: ask for the audience"),
    Said("Keycloak's audience", f"{GITHUB}/keycloak/keycloak/issues/35262", claims(aud="account"), "access_token", "Keycloak names this audience by itself"),
    Said("no audience, from Cognito", f"{GITHUB}/panva/oauth4webapi/issues/117", claims(aud=ABSENT), "access_token", "The token names no audience (aud)"),
    Said("another API's audience", f"{GITHUB}/sergiodxa/remix-auth/issues/88", claims(aud="https://other.example.com"), "access_token", "Request a token with audience=https://api.example.com"),
    Said("expired", f"{GITHUB}/auth0/jwt-decode/issues/53", lambda tenant: tenant.token(iat=1_700_000_000, exp=1_700_086_400), "access_token", "It expired "),
    Said("not valid yet, by clocks that differ", f"{GITHUB}/cesanta/docker_auth/issues/41", lambda tenant: tenant.token(nbf=tenant.claims()["iat"] + 60), "access_token", "It becomes valid in "),
    Said("issued in the future", f"{GITHUB}/jpadilla/pyjwt/issues/190", lambda tenant: tenant.token(iat=tenant.claims()["iat"] + 60), "access_token", "It was issued in the future: a clock is wrong"),
    Said("issued in the future, where the age matters", f"{GITHUB}/zmartzone/lua-resty-openidc/issues/410", lambda tenant: tenant.token(iat=tenant.claims()["iat"] + 60), "access_token", "It was issued in the future: a clock is wrong", {"max_age": 3_600}),
    Said("exp in milliseconds", f"{GITHUB}/auth0/angular2-jwt/issues/272", lambda tenant: tenant.token(exp=tenant.claims()["exp"] * 1000), "access_token", "exp is in milliseconds"),
    Said("no subject", f"{GITHUB}/auth0/idtoken-verifier/issues/123", claims(sub=ABSENT), "access_token", "The token lacks sub"),
    Said("neither jti nor client_id, as Auth0 has it", f"{GITHUB}/mcp-auth/js/issues/28", claims(), "access_token", ""),
    Said("no typ", f"{GITHUB}/authlib/authlib/pull/696", lambda tenant: tenant.token({"typ": ABSENT}), "access_token", ""),
]

SIGNATURES = [
    Said("HS256, of an API made long ago", f"{GITHUB}/auth0-samples/auth0-django-web-app/issues/6", lambda tenant: mac({"alg": "HS256", "typ": "JWT"}, tenant.claims(), b"secret"), "access_token", "`alg` isn't one of `TOKEN_ALGORITHMS`. With `HS256`"),
    Said("another key, after a rotation", f"{GITHUB}/okta/okta-jwt-verifier-java/issues/9", lambda tenant: tenant.token(key=rsa_key("old")), "access_token", "The issuer publishes no such key now: request a new token."),
    Said("another key of the same name", f"{GITHUB}/auth0-blog/auth0-python-fastapi-sample/issues/1", lambda tenant: tenant.token(key=rsa_key("current")), "access_token", "It was altered, or is of a test environment"),
    Said("the issuer can't be reached", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/132", claims(iss="http://127.0.0.1:9/"), "access_token", "Nothing listens there: correct AUTH0_DOMAIN", {"issuers": ("http://127.0.0.1:9/",)}),
]

ISSUERS = [
    Said("the final slash of the issuer", f"{GITHUB}/auth0-blog/vuejs2-authentication-tutorial/issues/4", claims(), "access_token", "Only the final slash differs: write AUTH0_DOMAIN as", environment=lambda tenant: {"issuers": (tenant.url.rstrip("/"),)}),
    Said("an issuer without a slash", f"{GITHUB}/axa-group/oauth2-mock-server/issues/353", lambda tenant: tenant.token(iss=tenant.url.rstrip("/")), "access_token", "Only the final slash differs: write AUTH0_DOMAIN as"),
    Said("a custom domain's token", f"{GITHUB}/auth0/nextjs-auth0/issues/320", claims(iss="https://login.example.com/"), "access_token", "Auth0's custom domains issue tokens of their own", {"issuers": ("https://tenant.eu.auth0.com/",)}),
    Said("https twice", f"{GITHUB}/auth0/auth0-spa-js/issues/428", claims(iss="https://https://tenant.auth0.com//"), "access_token", 'The issuer is "https://https://tenant.auth0.com//", and AUTH0_DOMAIN names no such'),
    Said("a token of version 1 from Entra", f"{GITHUB}/AzureAD/microsoft-authentication-library-for-js/issues/2363", claims(iss="https://sts.windows.net/72f9/"), "access_token", "The token is one of version 1", {"issuers": ("https://login.microsoftonline.com/72f9/v2.0",)}),
    Said("another path at the same host", f"{GITHUB}/hasura/graphql-engine/issues/8993", lambda tenant: tenant.token(iss=f"{tenant.url}realms/other"), "access_token", "It says that another issuer at the same host made it"),
]

SCOPES = [
    Said("permissions in place of scopes", f"{GITHUB}/dorinclisu/fastapi-auth0/issues/7", claims(scope="openid", permissions=["read:messages"]), "access_token", "Request scope=read:messages with the token. Set TOKEN_PERMISSIONS=true only if"),
    Said("only the default scopes", f"{GITHUB}/auth0/auth0-react/issues/183", claims(scope="openid profile email"), "access_token", LOOKED_FOR),
    Said("no scope at all", f"{GITHUB}/spec-first/connexion/issues/540", claims(scope=ABSENT), "access_token", LOOKED_FOR),
    Said("a scope that the user hasn't been given", f"{GITHUB}/auth0/auth0-react/issues/179", claims(scope="", permissions=[]), "access_token", LOOKED_FOR),
]


def of(iss: str, header: dict[str, Any] | None = None, **changed: Any) -> Make:
    """A token of another issuer's, signed as the tenant's are."""
    return lambda tenant: tenant.token(header, iss=iss, **changed)


def trusting(iss: str, **changed: Any) -> Callable[[Tenant], dict[str, Any]]:
    """The API trusts an issuer elsewhere, which publishes the tenant's keys."""

    def published(tenant: Tenant) -> dict[str, Any]:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/openid-configuration"):
                return httpx.Response(200, json={"issuer": iss, "jwks_uri": f"{iss.rstrip('/')}/keys"})
            return httpx.Response(200, json=tenant.key_set())

        return {"issuers": (iss,), "transport": httpx.MockTransport(answer), **changed}

    return published


MICROSOFT = "https://learn.microsoft.com/en-us/entra/identity-platform"
ENTRA_ID, API_ID = "9f2a3b4c-1111-4000-8000-000000000001", "6e74172b-be56-4843-9ff4-e66a39bb12e3"
ENTRA, ENTRA_1 = f"https://login.microsoftonline.com/{ENTRA_ID}/v2.0", f"https://sts.windows.net/{ENTRA_ID}/"
OF_ENTRA: dict[str, Any] = {"aud": API_ID, "ver": "2.0", "tid": ENTRA_ID, "oid": "1", "scp": "read:messages", "scope": ABSENT}
OKTA, OKTA_ORG = "https://dev-1.okta.com/oauth2/default", "https://dev-1.okta.com"
OF_OKTA: dict[str, Any] = {"ver": 1, "jti": "AT.x", "cid": "0oa1", "uid": "00u1", "scp": ["read:messages"], "scope": ABSENT}
POOL = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_A1"
OF_COGNITO: dict[str, Any] = {"token_use": "access", "client_id": "4a5b", "username": "ada", "aud": ABSENT}
FIREBASE = "https://securetoken.google.com/shop"
OF_FIREBASE: dict[str, Any] = {"firebase": {"sign_in_provider": "password"}, "aud": "shop", "email": "ada@example.com", "auth_time": 1}
REALM = "https://sso.example.com/realms/shop"
OF_KEYCLOAK: dict[str, Any] = {"typ": "Bearer", "realm_access": {"roles": ["read:messages"]}, "azp": "web"}
SUPABASE = "https://abc.supabase.co/auth/v1"
OF_SUPABASE: dict[str, Any] = {"aud": "authenticated", "role": "authenticated", "email": "ada@example.com", "session_id": "1"}

IN_KUBERNETES: dict[str, Any] = {"aud": ["https://kubernetes.default.svc"], "kubernetes.io": {}, "scope": ABSENT}

PROVIDERS = [
    Said("Entra, for another API", f"{MICROSOFT}/access-token-claims-reference", of(ENTRA, **OF_ENTRA), "access_token", "Entra's tokens of version 2 name an API by its Client ID", environment=trusting(ENTRA)),
    Said("Entra's Client ID without api://", f"{MICROSOFT}/access-tokens", of(ENTRA, **OF_ENTRA), "access_token", "Entra's tokens of version 2 name an API by its Client ID", environment=trusting(ENTRA, audience=f"api://{API_ID}")),
    Said("Entra, good", f"{MICROSOFT}/access-tokens", of(ENTRA, **OF_ENTRA), "access_token", "", environment=trusting(ENTRA, audience=API_ID)),
    Said("Entra's program, with roles", f"{MICROSOFT}/scenario-protected-web-api-app-configuration", of(ENTRA, idtyp="app", aud=API_ID, tid=ENTRA_ID, roles=["read:messages"], scope=ABSENT), "access_token", "Request scope=read:messages. Add roles to TOKEN_SCOPE_CLAIMS only if", environment=trusting(ENTRA, audience=API_ID)),
    Said("Entra's program, where roles count", f"{MICROSOFT}/scenario-protected-web-api-app-configuration", of(ENTRA, idtyp="app", aud=API_ID, tid=ENTRA_ID, roles=["read:messages"], scope=ABSENT), "access_token", "", environment=trusting(ENTRA, audience=API_ID, scope_claims=("scp", "roles"))),
    Said("Microsoft Graph's, by its nonce", f"{GITHUB}/AzureAD/azure-activedirectory-identitymodel-extensions-for-dotnet/issues/609", of(ENTRA_1, {"nonce": "x"}, aud="https://graph.microsoft.com"), "graph_token", "Only Microsoft Graph can check this token", environment=trusting(ENTRA)),
    Said("Microsoft Graph's, by its id", f"{MICROSOFT}/access-tokens", of(ENTRA_1, aud="00000003-0000-0000-c000-000000000000"), "graph_token", "Only Microsoft Graph can check this token", environment=trusting(ENTRA)),
    Said("Entra, version 1 of the same tenant", f"{MICROSOFT}/access-tokens", of(ENTRA_1, ver="1.0", tid=ENTRA_ID), "access_token", "The token is one of version 1", environment=trusting(ENTRA)),
    Said("Entra, version 1 of another tenant", f"{MICROSOFT}/access-tokens", of("https://sts.windows.net/72f988bf/", ver="1.0"), "access_token", 'The issuer is "https://sts.windows.net/72f988bf/"', environment=trusting(ENTRA)),
    Said("Entra, another tenant", f"{MICROSOFT}/access-tokens", of("https://login.microsoftonline.com/72f988bf/v2.0", **OF_ENTRA), "access_token", "It says that another issuer at the same host made it", environment=trusting(ENTRA)),
    Said("Entra, trusted for everybody", f"{MICROSOFT}/howto-convert-app-to-be-multi-tenant", of(ENTRA, **OF_ENTRA), "access_token", "Each tenant of Entra has an issuer of its own", {"issuers": ("https://login.microsoftonline.com/common/v2.0",)}),
    Said("Entra's ID token", f"{MICROSOFT}/id-token-claims-reference", of(ENTRA, tid=ENTRA_ID, aud=API_ID, azp=ABSENT, scope=ABSENT, name="Ada", preferred_username="ada@example.com"), "id_token", ID_TOKEN, environment=trusting(ENTRA)),
    Said("Azure AD B2C's, for another API", "https://learn.microsoft.com/en-us/azure/active-directory-b2c/access-tokens", of("https://shop.b2clogin.com/9f2a/v2.0/", tfp="B2C_1_login", aud=API_ID, scp="read"), "access_token", "B2C's tokens name an API by its Client ID: set AUTH0_AUDIENCE to this API's, from the app registration, and request a scope", environment=trusting("https://shop.b2clogin.com/9f2a/v2.0/")),
    Said("Azure AD B2C's policy in AUTH0_DOMAIN", "https://learn.microsoft.com/en-us/azure/active-directory-b2c/tokens-overview", of("https://shop.b2clogin.com/9f2a/v2.0/", tfp="B2C_1_login", scp="read"), "access_token", "The issuer's name has the tenant's id in it", {"issuers": ("https://shop.b2clogin.com/shop.onmicrosoft.com/B2C_1_login/v2.0/",)}),
    Said("Entra External ID, another tenant", "https://learn.microsoft.com/en-us/entra/external-id/customers/overview-customers-ciam", of("https://other.ciamlogin.com/1/v2.0", scp="read"), "access_token", "The issuer's name has the tenant's id in it", environment=trusting("https://shop.ciamlogin.com/1/v2.0")),
    Said("Okta's org server", "https://developer.okta.com/docs/concepts/auth-servers", lambda tenant: tenant.token({"kid": "hidden"}, iss=OKTA_ORG, aud=OKTA_ORG, **OF_OKTA), "access_token", "Only Okta can check its org server's tokens", environment=trusting(OKTA_ORG)),
    Said("Okta's org server, by its typ", "https://developer.okta.com/docs/concepts/auth-servers", lambda tenant: tenant.token({"typ": "application/okta-internal-at+jwt"}, iss=OKTA_ORG, aud=OKTA_ORG, **OF_OKTA), "okta_token", "Only Okta can check its org server's tokens", environment=trusting(OKTA)),
    Said("Okta's default audience", "https://help.okta.com/oie/en-us/content/topics/security/api-config-auth-server.htm", of(OKTA, aud="api://default", **OF_OKTA), "access_token", "Okta's audience stands in the authorization server's settings", environment=trusting(OKTA)),
    Said("Okta's Client ID as the audience of the API", "https://developer.okta.com/docs/guides/validate-access-tokens", of(OKTA, aud="api://default", **OF_OKTA), "access_token", "AUTH0_AUDIENCE is a Client ID", environment=trusting(OKTA, audience="0oa1")),
    Said("Okta's other server", f"{GITHUB}/okta/okta-jwt-verifier-js/issues/34", of(f"{OKTA_ORG}/oauth2/aus1", **OF_OKTA), "access_token", "It says that another issuer at the same host made it", environment=trusting(OKTA)),
    Said("Okta's ID token", "https://developer.okta.com/docs/reference/api/oidc", of(OKTA, aud="0oa1", ver=1, amr=["pwd"], idp="00o1", email="ada@example.com", scope=ABSENT, azp=ABSENT), "id_token", ID_TOKEN, environment=trusting(OKTA)),
    Said("Okta, good", "https://developer.okta.com/docs/guides/validate-access-tokens", of(OKTA, **OF_OKTA), "access_token", "", environment=trusting(OKTA)),
    Said("Cognito's, without an audience", "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html", of(POOL, **OF_COGNITO), "access_token", "The token names no audience (aud): Cognito's access tokens have one only if the request names it with resource=", environment=trusting(POOL)),
    Said("Cognito's ID token", "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html", of(POOL, token_use="id", aud="4a5b", email="ada@example.com"), "id_token", ID_TOKEN, environment=trusting(POOL)),
    Said("Cognito's ID token that is accepted", "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html", of(POOL, token_use="id", aud="4a5b", scope=ABSENT), "id_token", ID_TOKEN, environment=trusting(POOL, audience="4a5b")),
    Said("Cognito's other pool", f"{GITHUB}/awslabs/aws-jwt-verify/issues/6", of(f"{POOL}2", **OF_COGNITO), "access_token", "It says that another issuer at the same host made it", environment=trusting(POOL)),
    Said("Cognito's groups", "https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-user-groups.html", of(POOL, **{**OF_COGNITO, "aud": AUDIENCE, "scope": ABSENT, "cognito:groups": ["read:messages"]}), "access_token", "Request scope=read:messages. Add cognito:groups to TOKEN_SCOPE_CLAIMS only if", environment=trusting(POOL)),
    Said("Google's ID token", "https://developers.google.com/identity/openid-connect/openid-connect", of("https://accounts.google.com", aud="1.apps.googleusercontent.com", hd="example.com", scope=ABSENT), "id_token", "Google's access tokens are for its own APIs", environment=trusting("https://accounts.google.com")),
    Said("Google's access token", "https://cloud.google.com/docs/authentication/token-types", text("ya29.a0AfH6SMBx-abcdefghijklmnop"), "api_key", "This is a key or token of Google"),
    Said("Firebase, another project", "https://firebase.google.com/docs/auth/admin/verify-id-tokens", of("https://securetoken.google.com/other", **OF_FIREBASE), "id_token", "It says that another issuer at the same host made it", environment=trusting(FIREBASE)),
    Said("Firebase, expired", "https://firebase.google.com/docs/auth/admin/verify-id-tokens", of(FIREBASE, **OF_FIREBASE, iat=1_700_000_000, exp=1_700_003_600), "id_token", "It expired ", environment=trusting(FIREBASE, audience="shop")),
    Said("Firebase's custom token", "https://firebase.google.com/docs/auth/admin/create-custom-tokens", of("admin@shop.iam.gserviceaccount.com", sub="admin@shop.iam.gserviceaccount.com", aud="https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit", uid="ada", scope=ABSENT), "custom_token", "This is Firebase's custom token", environment=trusting(FIREBASE)),
    Said("Keycloak's ID token", f"{GITHUB}/keycloak/keycloak/issues/12001", of(REALM, typ="ID", aud="web", azp="web", scope=ABSENT), "id_token", ID_TOKEN, environment=trusting(REALM)),
    Said("Keycloak's refresh token", f"{GITHUB}/keycloak/keycloak/issues/9275", of(REALM, typ="Refresh", aud=REALM), "refresh_token", "This is a refresh token", environment=trusting(REALM)),
    Said("Keycloak's offline token", "https://www.keycloak.org/docs/latest/server_admin/#_offline-access", of(REALM, typ="Offline", aud=REALM), "refresh_token", "This is a refresh token", environment=trusting(REALM)),
    Said("Keycloak's lightweight token", "https://www.keycloak.org/docs/latest/server_admin/#_using_lightweight_access_token", of(REALM, typ="Bearer", sub=ABSENT), "access_token", "Keycloak's lightweight tokens lack sub: have its mapper add it", environment=trusting(REALM)),
    Said("Keycloak's, without an audience", f"{GITHUB}/keycloak/keycloak/issues/35262", of(REALM, **OF_KEYCLOAK, aud=ABSENT), "access_token", "The token names no audience (aud): add an audience mapper", environment=trusting(REALM)),
    Said("Keycloak's roles", f"{GITHUB}/keycloak/keycloak/issues/8962", of(REALM, **OF_KEYCLOAK, scope="email profile"), "access_token", "Request scope=read:messages. Add realm_access.roles to TOKEN_SCOPE_CLAIMS only if", environment=trusting(REALM)),
    Said("Keycloak's other realm", f"{GITHUB}/hasura/graphql-engine/issues/8993", of("https://sso.example.com/realms/master", **OF_KEYCLOAK), "access_token", "It says that another issuer at the same host made it", environment=trusting(REALM)),
    Said("Keycloak, asked at another address", f"{GITHUB}/keycloak/keycloak/issues/24252", of("http://keycloak:8080/realms/shop", **OF_KEYCLOAK), "access_token", "Keycloak names itself by the address that it is asked at", environment=trusting(REALM)),
    Said("Keycloak's, bound to a key", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/254", of(REALM, **OF_KEYCLOAK, cnf={"jkt": "x", "kc-jkt-type": "dpop"}), "access_token", "It has `cnf`. Send it as `DPoP` with a proof", environment=trusting(REALM)),
    Said("Zitadel's, for another project", "https://zitadel.com/docs/apis/openidoauth/scopes", claims(**{"aud": ["163840776835432705"], "scope": ABSENT, "urn:zitadel:iam:user:resourceowner:id": "1"}), "jwt", "Request the scope urn:zitadel:iam:org:project:id:"),
    Said("Clerk's session", "https://clerk.com/docs/backend-requests/resources/session-tokens", of("https://clerk.example.com", azp="https://example.com", sid="sess_2N", sub="user_2N", aud=ABSENT, scope=ABSENT), "session_token", "The token names no audience (aud): Clerk's session tokens have none: make a JWT template", environment=trusting("https://clerk.example.com")),
    Said("Supabase's audience", "https://supabase.com/docs/guides/auth/jwt-fields", of(SUPABASE, **OF_SUPABASE, scope=ABSENT), "access_token", "Supabase names the audience `authenticated`", environment=trusting(SUPABASE)),
    Said("Supabase's, with a secret", "https://supabase.com/docs/guides/auth/signing-keys", lambda tenant: mac({"alg": "HS256", "typ": "JWT"}, tenant.claims(iss=SUPABASE, **OF_SUPABASE), b"secret"), "access_token", "Supabase signed it with a secret that both sides know", environment=trusting(SUPABASE)),
    Said("Supabase's anon key", "https://supabase.com/docs/guides/api/api-keys", lambda _: mac({"alg": "HS256", "typ": "JWT"}, {"iss": "supabase", "ref": "abc", "role": "anon", "iat": 1, "exp": 4_000_000_000}, b"secret"), "api_key", "This is an API key of Supabase's"),
    Said("Duende's machine", "https://docs.duendesoftware.com/identityserver/tokens/requesting", lambda tenant: tenant.token({"typ": "at+jwt"}, sub=ABSENT, client_id="worker"), "access_token", "The token lacks sub"),
    Said("GitHub's workflow", "https://docs.github.com/en/actions/reference/security/oidc", of("https://token.actions.githubusercontent.com", aud="https://github.com/octo-org", repository="octo-org/x", scope=ABSENT), "workload_token", "Request a token for https://api.example.com", environment=trusting("https://token.actions.githubusercontent.com")),
    Said("GitHub's workflow that is accepted", "https://docs.github.com/en/actions/reference/security/oidc", of("https://token.actions.githubusercontent.com", repository="octo-org/x", scope="read:messages"), "workload_token", "Anybody's workflow can get this audience", environment=trusting("https://token.actions.githubusercontent.com")),
    Said("Google's service account that is accepted", "https://docs.cloud.google.com/docs/authentication/token-types", of("https://accounts.google.com", email="a@b.iam.gserviceaccount.com"), "id_token", "Anybody's program can get this audience", environment=trusting("https://accounts.google.com")),
    Said("a key of Supabase's", "https://supabase.com/docs/guides/api/api-keys", text("sb_secret_abcdefghijklmnop"), "api_key", "This is a key or token of Supabase"),
    Said("Kubernetes' service account", "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_token/", of("https://kubernetes.default.svc", None, **IN_KUBERNETES), "workload_token", "It is for another service: mount one with `audience` in its serviceAccountToken", environment=trusting("https://kubernetes.default.svc")),
    Said("AD FS's issuer", "https://learn.microsoft.com/en-us/windows-server/identity/ad-fs/development/ad-fs-openid-connect-oauth-concepts", of("http://adfs.example.com/adfs/services/trust", apptype="Public", scp="read"), "access_token", "AD FS's access tokens name their issuer with http://", {"issuers": ("https://adfs.example.com/adfs",)}),
    Said("PingOne's, for another API", "https://docs.pingidentity.com/pingone/applications/p1_resource_scopes.html", of("https://auth.pingone.eu/1/as", aud=["https://api.pingone.eu"]), "access_token", "PingOne's token is for the resource whose scopes are requested: request a scope of this API", environment=trusting("https://auth.pingone.eu/1/as")),
    Said("Auth0's, for two others", "https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles", claims(aud=["https://other.example.com", "https://tenant.auth0.com/userinfo"]), "access_token", "Request a token with audience="),
    Said("Auth0's machine", "https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles", claims(sub="abc@clients", gty="client-credentials"), "access_token", ""),
]

OF_WRONG_TYPE = [
    Said("exp that is a text", f"{GITHUB}/lcobucci/jwt/issues/604", claims(exp="4102444800"), "access_token", "`exp` is a text: it has to be a number of seconds."),
    Said("no exp", "https://www.rfc-editor.org/rfc/rfc9068#section-2.2", claims(exp=ABSENT), "access_token", "The token lacks exp"),
    Said("exp that is true", "https://www.rfc-editor.org/rfc/rfc7519#section-2", claims(exp=True), "access_token", "`exp` is a boolean"),
    Said("nbf that is a text", f"{GITHUB}/lcobucci/jwt/issues/604", claims(nbf="1607523611.770"), "access_token", "`nbf` is a text: it has to be a number of seconds."),
    Said("iat that is null", "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.6", claims(iat=None), "access_token", "`iat` is null: it has to be a number of seconds."),
    Said("iat that is a date", "https://www.rfc-editor.org/rfc/rfc7519#section-2", claims(iat="2026-01-01T00:00:00Z"), "access_token", "`iat` is a text"),
    Said("sub that is a number", f"{GITHUB}/jpadilla/pyjwt/issues/1017", claims(sub=1), "access_token", "`sub` is a number: it has to be a text."),
    Said("aud that is null", "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3", claims(aud=None), "access_token", "`aud` is null: it has to be a text or a list of texts."),
    Said("aud that is an object", "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3", claims(aud={"a": 1}), "access_token", "`aud` is an object"),
    Said("scope that is null", "https://www.rfc-editor.org/rfc/rfc8693#section-4.2", claims(scope=None), "access_token", "`scope` is null"),
    Said("scope that is a list of numbers", "https://www.rfc-editor.org/rfc/rfc8693#section-4.2", claims(scope=[1]), "access_token", "`scope` is a list: it has to be a text or a list of texts."),
    Said("scp that is an object", f"{MICROSOFT}/access-token-claims-reference", claims(scp={}), "access_token", "`scp` is an object"),
    Said("permissions that are null and count", f"{GITHUB}/auth0/auth0-PHP/issues/568", claims(permissions=None), "access_token", "`permissions` is null: it has to be a list of texts.", {"permissions": True}),
    Said("permissions that are a text and count", "https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis", claims(permissions="read:messages"), "access_token", "`permissions` is a text", {"permissions": True}),
    Said("permissions that are null and don't count", f"{GITHUB}/auth0/auth0-PHP/issues/568", claims(permissions=None), "access_token", ""),
    Said("no jti where RFC 9068 is demanded", "https://www.rfc-editor.org/rfc/rfc9068#section-2.2", lambda tenant: tenant.token({"typ": "at+jwt"}), "access_token", "TOKEN_PROFILE=rfc9068 demands client_id, jti", {"profile": "rfc9068"}),
    Said("typ JWT where RFC 9068 is demanded", "https://www.rfc-editor.org/rfc/rfc9068#section-4", claims(client_id="a", jti="1"), "access_token", "TOKEN_PROFILE=rfc9068 demands typ at+jwt", {"profile": "rfc9068"}),
    Said("an event's typ", "https://www.rfc-editor.org/rfc/rfc8417#section-2.3", lambda tenant: tenant.token({"typ": "secevent+jwt"}), "access_token", 'Its typ, "secevent+jwt", is that of no access token'),
    Said("a token of 20,000 characters", f"{GITHUB}/auth0/node-jsonwebtoken/issues/438", claims(groups=["g" * 30] * 500), "long", "It has more than 16384 characters."),
    Said("an extension", "https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11", lambda tenant: tenant.token({"crit": ["exp"]}), "access_token", "Hardly any provider issues such tokens"),
    Said("scopes with commas", f"{GITHUB}/ory/hydra/issues/1117", claims(scope="openid,read:messages"), "access_token", "Scopes are separated by spaces"),
]

PING, B2C = "https://auth.pingone.eu/342b5660/as", "https://shop.b2clogin.com/9f2a/v2.0/"
OF_ARM: dict[str, Any] = {"ver": "1.0", "tid": ENTRA_ID, "appid": "x", "scp": "user_impersonation", "scope": ABSENT}
OF_DJANGO: dict[str, Any] = {"token_type": "access", "exp": 4_000_000_000, "iat": 1, "jti": "x", "user_id": 1}
SERVICE_ROLE: dict[str, Any] = {"iss": "supabase", "ref": "abc", "role": "service_role", "iat": 1, "exp": 4_000_000_000}
SECRET = " It is a secret: revoke it if it left your servers."
OF_GOOGLE = "This is a key or token of Google: send the access token of this API's authorization server."

AS_PEOPLE_HAVE_THEM = [
    Said("the clock of the API is behind", f"{MICROSOFT}/access-token-claims-reference", lambda tenant: tenant.token(iat=tenant.claims()["iat"] + 180, nbf=tenant.claims()["iat"] + 180), "access_token", "It becomes valid in 3 minutes: a clock is wrong"),
    Said("an ID token of an organization", "https://auth0.com/docs/manage-users/organizations/using-tokens", claims(**{**OF_A_PERSON, "org_id": "org_1", "nonce": "n", "auth_time": 1}), "id_token", ID_TOKEN),
    Said("a reference token", "https://docs.duendesoftware.com/identityserver/tokens/reference", text("8DA8D2E1F3A94F0E8C76D1B2A3C4D5E6F708192A3B4C5D6E7F8091A2B3C4D5E6-1"), "unknown", f"{NO_AUDIENCE} Send `audience=` with `AUTH0_AUDIENCE`. Other providers have to be told to issue JWTs"),
    Said("Zitadel's opaque token", "https://zitadel.com/docs/guides/integrate/token-introspection", text("aTnJ9K2qLwzv0gWc3FqIY8xQx0H1nqm7GZ2sK1l6b4Y0sPpW8yZ3aVt5cR2dN9eM"), "unknown", f"{NO_AUDIENCE} Send `audience=` with `AUTH0_AUDIENCE`. Other providers have to be told to issue JWTs"),
    Said("an audience that is an empty list", "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3", claims(aud=[]), "access_token", "The token names no audience (aud)"),
    Said("PingOne's other environment", "https://docs.pingidentity.com/pingone/applications/p1_resource_scopes.html", of("https://auth.pingone.eu/99/as", client_id="2d9b"), "access_token", "It says that another issuer at the same host made it", environment=trusting(PING)),
    Said("PingOne's own API", "https://docs.pingidentity.com/pingone/applications/p1_resource_scopes.html", of(PING, aud=["https://api.pingone.eu"], client_id="2d9b", scope="p1:read:user"), "access_token", "PingOne's token is for the resource whose scopes are requested: request a scope of this API", environment=trusting(PING)),
    Said("Cognito's refresh token", "https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html", encrypted(cty="JWT", enc="A256GCM", alg="RSA-OAEP"), "refresh_token", "This is a refresh token: exchange it at the token endpoint", environment=trusting(POOL)),
    Said("alg none", "https://www.rfc-editor.org/rfc/rfc8725#section-2.1", lambda tenant: f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(tenant.claims())}.", "access_token", "The token isn't signed at all (alg none): request one"),
    Said("HS256 of a login of one's own", "https://django-rest-framework-simplejwt.readthedocs.io/en/latest/settings.html", lambda _: mac({"alg": "HS256", "typ": "JWT"}, OF_DJANGO, b"secret"), "jwt", "A program of its own signed it with a secret that both sides know"),
    Said("expired, and for another API", f"{GITHUB}/sergiodxa/remix-auth/issues/88", claims(aud="https://other.example.com", iat=1_700_000_000, exp=1_700_086_400), "access_token", "Request a token with audience=https://api.example.com"),
    Said("Entra, an application with keys of its own", f"{MICROSOFT}/access-tokens#validate-tokens", lambda tenant: tenant.token({"kid": "x"}, iss=ENTRA, **OF_ENTRA), "access_token", "Entra publishes no such key there: an application with signing keys of its own (claims mapping)", environment=trusting(ENTRA, audience=API_ID)),
    Said("Azure Resource Manager's", f"{MICROSOFT}/access-tokens#token-formats", of(ENTRA_1, aud="https://management.azure.com/", **OF_ARM), "microsoft_token", "Only the API of Microsoft's that it is for can check this token", environment=trusting(ENTRA)),
    Said("Azure Resource Manager's, by its id", f"{MICROSOFT}/access-tokens#token-formats", of(ENTRA_1, aud="797f4846-ba00-4fd7-ba43-dac1f8f63013", **OF_ARM), "microsoft_token", "Only the API of Microsoft's that it is for can check this token", environment=trusting(ENTRA)),
    Said("a customer's API on a host of Azure's", f"{MICROSOFT}/access-tokens#token-formats", of(ENTRA_1, aud="https://shop.westeurope.cloudapp.azure.com", **OF_ARM), "access_token", "The token is one of version 1: if its aud names this API", environment=trusting(ENTRA)),
    Said("Supabase's service_role key", "https://supabase.com/docs/guides/api/api-keys", lambda _: mac({"alg": "HS256", "typ": "JWT"}, SERVICE_ROLE, b"secret"), "api_key", f"This is an API key of Supabase's: send the access token of the user's session.{SECRET}"),
    Said("Clerk's cookie with its name", "https://clerk.com/docs/guides/how-clerk-works/cookies", good(lambda token: f"__session={token}"), "session_cookie", "A session cookie was sent"),
    Said("Keycloak's azp is the audience", f"{GITHUB}/keycloak/keycloak/issues/35262", of(REALM, typ="Bearer", azp="shop-api", aud=["other-api"]), "access_token", "Keycloak's token is for other clients: add an audience mapper", environment=trusting(REALM, audience="shop-api")),
    Said("Google's refresh token", "https://developers.google.com/identity/protocols/oauth2", text("1//0gabcdefghijklmnopqrstuvwxyz-ABCDEFG"), "api_key", OF_GOOGLE + SECRET),
    Said("Google's API key", "https://cloud.google.com/docs/authentication/api-keys", text("AIzaSyA1234567890abcdefghijklmnopqrstuv"), "api_key", OF_GOOGLE),
    Said("Firebase, for an API that isn't its project", "https://firebase.google.com/docs/auth/admin/verify-id-tokens", of(FIREBASE, **OF_FIREBASE), "id_token", "Firebase names the project's ID for an audience", environment=trusting(FIREBASE)),
    Said("GitHub's personal token", "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens", text("ghp_16C7e42F292c6912E7710c838347Ae178B4a"), "api_key", f"This is a key or token of GitHub: send the access token of this API's authorization server.{SECRET}"),
    Said("a secret key of Stripe's", "https://docs.stripe.com/keys", text("sk_live_4eC39HqLyjWDarjtT1zdp7dc"), "api_key", f"This is a key or token of another service: send the access token of this API's authorization server.{SECRET}"),
    Said("a private key", "https://www.rfc-editor.org/rfc/rfc7468#section-10", text("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"), "private_key", f"This is a private key: send the access token that a client gets with it.{SECRET}"),
    Said("a service account's key file", "https://cloud.google.com/iam/docs/keys-create-delete", text(json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----"})), "private_key", "This is the key file of a service account"),
    Said("the name of the field within the field", f"{GITHUB}/szerhusenBC/jwt-spring-security-demo/issues/65", good(lambda token: f"Authorization: Bearer Authorization: Bearer {token}"), "scheme_twice", "Bearer was sent twice"),
    Said("quotes of a shell's", "https://www.gnu.org/software/bash/manual/html_node/Quoting.html", good(lambda token: f'\\"{token}\\"'), "quoted", "Quotes were sent around the token"),
    Said("a space that is percent-encoded", "https://www.rfc-editor.org/rfc/rfc3986#section-2.1", good(lambda token: f"Bearer%20{token}"), "scheme_joined", "A space is missing between Bearer and the token"),
    Said("a byte order mark", "https://www.unicode.org/faq/utf_bom.html", good(lambda token: f"\ufeff{token}"), "invisible", "Characters that can't be seen got into the token"),
    Said("a semicolon behind it", "https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1", good(lambda token: f"{token};"), "followed", "Something stands after the token: cut it off."),
    Said("a signature of AWS's", "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html", text("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=fe5f"), "other_scheme", "The scheme is AWS4-HMAC-SHA256: it has to be Bearer"),
    Said("Okta's issuer with a slash too many", "https://developer.okta.com/docs/guides/validate-access-tokens", of(OKTA, **OF_OKTA), "access_token", "Only the final slash differs: write AUTH0_DOMAIN as", {"issuers": (f"{OKTA}/",)}),
    Said("Okta's org server, where a custom one is trusted", "https://developer.okta.com/docs/concepts/auth-servers", of(OKTA_ORG, aud=OKTA_ORG, **OF_OKTA), "access_token", "Only Okta can check its org server's tokens", environment=trusting(OKTA)),
    Said("Kubernetes, for another service", "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_create/kubectl_create_token/", of("https://kubernetes.default.svc", aud=["vault"], scope=ABSENT, **{"kubernetes.io": {}}), "workload_token", "It is for another service: mount one with `audience` in its serviceAccountToken", environment=trusting("https://kubernetes.default.svc")),
    Said("B2C's, for a client", "https://learn.microsoft.com/en-us/azure/active-directory-b2c/access-tokens", of(B2C, tfp="B2C_1_login", aud="2d9b", scp="read", scope=ABSENT), "access_token", "B2C's tokens name an API by its Client ID", environment=trusting(B2C)),
]

SAID = [*NO_TOKENS, *HIDDEN, *OTHER_TOKENS, *CLAIMS, *SIGNATURES, *ISSUERS, *SCOPES, *PROVIDERS, *OF_WRONG_TYPE, *AS_PEOPLE_HAVE_THEM]
