"""What people have sent for an access token, one case each, with the advice that each must get.

The cases come from public threads, which are named; the tokens are made here.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    Said("an encrypted access token", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/143", encrypted(alg="RSA-OAEP", enc="A256CBC-HS512", kid="1", typ="at+jwt"), "jwe", "Turn off JSON Web Encryption"),
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
    Said("another key, after a rotation", f"{GITHUB}/okta/okta-jwt-verifier-java/issues/9", lambda tenant: tenant.token(key=rsa_key("old")), "access_token", "The key was withdrawn"),
    Said("another key of the same name", f"{GITHUB}/auth0-blog/auth0-python-fastapi-sample/issues/1", lambda tenant: tenant.token(key=rsa_key("current")), "access_token", "It was altered, or is of a test environment"),
    Said("the issuer can't be reached", f"{GITHUB}/auth0/node-oauth2-jwt-bearer/issues/132", claims(iss="http://127.0.0.1:9/"), "access_token", "Find out why the issuer's keys can't be had", {"issuers": ("http://127.0.0.1:9/",)}),
]

ISSUERS = [
    Said("the final slash of the issuer", f"{GITHUB}/auth0-blog/vuejs2-authentication-tutorial/issues/4", claims(), "access_token", "Only the final slash differs: write AUTH0_DOMAIN as", environment=lambda tenant: {"issuers": (tenant.url.rstrip("/"),)}),
    Said("an issuer without a slash", f"{GITHUB}/axa-group/oauth2-mock-server/issues/353", lambda tenant: tenant.token(iss=tenant.url.rstrip("/")), "access_token", "Only the final slash differs: write AUTH0_DOMAIN as"),
    Said("a custom domain's token", f"{GITHUB}/auth0/nextjs-auth0/issues/320", claims(iss="https://login.example.com/"), "access_token", "A custom domain issues tokens of its own", {"issuers": ("https://tenant.eu.auth0.com/",)}),
    Said("https twice", f"{GITHUB}/auth0/auth0-spa-js/issues/428", claims(iss="https://https://tenant.auth0.com//"), "access_token", 'The issuer is "https://https://tenant.auth0.com//", and AUTH0_DOMAIN names no such'),
    Said("a token of version 1 from Entra", f"{GITHUB}/AzureAD/microsoft-authentication-library-for-js/issues/2363", claims(iss="https://sts.windows.net/72f9/"), "access_token", "The token is one of version 1", {"issuers": ("https://login.microsoftonline.com/72f9/v2.0",)}),
    Said("another path at the same host", f"{GITHUB}/hasura/graphql-engine/issues/8993", lambda tenant: tenant.token(iss=f"{tenant.url}realms/other"), "access_token", "Another tenant at the same host issued it"),
]

SCOPES = [
    Said("permissions in place of scopes", f"{GITHUB}/dorinclisu/fastapi-auth0/issues/7", claims(scope="openid", permissions=["read:messages"]), "access_token", "Request scope=read:messages with the token, or let permissions count"),
    Said("only the default scopes", f"{GITHUB}/auth0/auth0-react/issues/183", claims(scope="openid profile email"), "access_token", LOOKED_FOR),
    Said("no scope at all", f"{GITHUB}/spec-first/connexion/issues/540", claims(scope=ABSENT), "access_token", LOOKED_FOR),
    Said("a scope that the user hasn't been given", f"{GITHUB}/auth0/auth0-react/issues/179", claims(scope="", permissions=[]), "access_token", LOOKED_FOR),
]

SAID = [*NO_TOKENS, *HIDDEN, *OTHER_TOKENS, *CLAIMS, *SIGNATURES, *ISSUERS, *SCOPES]
