"""What to do about each refusal: what fits the case, or what docs/troubleshooting.md says."""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from resource_server.doctor.findings import distance, shown
from resource_server.doctor.kinds import OF_MICROSOFT, OF_OKTA, Said, host_of, is_microsofts
from resource_server.networks import is_local
from resource_server.settings import Settings
from resource_server.tokens.checks import Check
from resource_server.tokens.claims import Expected, is_date
from resource_server.tokens.errors import Refusal
from resource_server.tokens.issuer import IssuerError, IssuerFault
from resource_server.tokens.jwt import SignedJWT
from resource_server.tokens.keys import ALGORITHMS, public_key, verifies


class Case(NamedTuple):
    """A token that has been taken apart, what it is compared with, and when.

    Args:
        jwt: The token.
        settings: What the API accepts.
        expected: What its claims are compared with.
        published: The keys of its issuer, as they are published.
        row: The row of the table of claims that doesn't hold.
    """

    jwt: SignedJWT
    settings: Settings
    expected: Expected
    published: tuple[Any, ...] = ()
    row: Check[Refusal] | None = None

    @property
    def claims(self) -> dict[str, Any]:
        """The token's claims."""
        return self.jwt.claims

    @property
    def now(self) -> float:
        """The time in seconds since the epoch."""
        return self.expected.now

    @property
    def provider(self) -> str:
        """Whose token it is, if it says so."""
        return Said.by(self.jwt).provider


ADVICE: dict[Refusal, str] = {
    Refusal.OVERSIZED: "It has more than 16384 characters. Put less into it.",
    Refusal.OPAQUE: (
        "Auth0 issues such a token when the request names no `audience`. Send `audience=` with `AUTH0_AUDIENCE`. Other "
        "providers have to be told to issue JWTs for this API."
    ),
    Refusal.ENCRYPTED: "Have it issued without encryption; in Auth0 turn that off in the settings of the API.",
    Refusal.MALFORMED: "It was cut, quoted or line-wrapped on its way. It has three parts of base64url, without `=`.",
    Refusal.ALGORITHM: "`alg` isn't one of `TOKEN_ALGORITHMS`. With `HS256`, set the API in Auth0 to RS256.",
    Refusal.CRITICAL: "Hardly any provider issues such tokens: have the issuer leave `crit` and `b64` out.",
    Refusal.TYPE: "Its type or claims are an ID token's or a logout token's. Send `access_token`, not `id_token`.",
    Refusal.ISSUER: "It isn't from one of `AUTH0_DOMAIN`: request it from one. Add another only if it is yours.",
    Refusal.UNKNOWN_KEY: "The issuer publishes no such key now: request a new token. Each `make run` has new keys.",
    Refusal.SIGNATURE: "It was altered, or copied without its end.",
    Refusal.CLAIMS: "`sub` and `exp` must be there, each claim of its type. An action may have overwritten one.",
    Refusal.AUDIENCE: "`aud` doesn't name `AUTH0_AUDIENCE`, to the character. ID tokens have the Client ID there.",
    Refusal.EXPIRED: "The API renews no tokens: request a new one. If this one is new, a clock is wrong.",
    Refusal.NOT_YET_VALID: "`nbf` is in the future, by more than `TOKEN_LEEWAY`.",
    Refusal.TOO_OLD: "It is older than `TOKEN_MAX_AGE`, or doesn't say how old it is (`iat`).",
    Refusal.NOT_ACCEPTED: "Your function, which `x-tokenInfoFunc` or `x-bearerInfoFunc` names, has returned `None`.",
    Refusal.SENDER_CONSTRAINED: "It has `cnf`. Send it as `DPoP` with a proof; the API must know its `PUBLIC_URL`.",
    Refusal.NOT_BOUND: "It was sent as `DPoP`. Request it with a proof at the token endpoint, or send it as `Bearer`.",
    Refusal.OTHER_BINDING: "Its `cnf` names a certificate (mutual TLS), or no `jkt`.",
    Refusal.OTHER_KEY: "The client has made a new key since it got the token. Keep the key as long as the token.",
    Refusal.NO_CERTIFICATE: (
        "`CLIENT_CERTIFICATE_HEADER` isn't in the request, or none of `TRUSTED_PROXIES` has sent it. Have the client "
        "connect with its certificate, and the proxy ask for it and pass it on."
    ),
    Refusal.BAD_CERTIFICATE: (
        "There are several fields or elements, or the proxy writes another form than goes with the name in "
        "`CLIENT_CERTIFICATE_HEADER`."
    ),
    Refusal.OTHER_CERTIFICATE: (
        "The client has renewed its certificate since it got the token, or got it with another. Request a new one with "
        "the certificate that is used here."
    ),
    Refusal.NO_CERTIFICATE_BINDING: (
        "`MTLS=required`: have the authorization server issue certificate-bound tokens for this client."
    ),
}
"""As the guide says it."""


def advice(refusal: Refusal, case: Case | None) -> str:
    """What to do about a refusal of a token, which may be one that couldn't be taken apart."""
    mistakes = _MISTAKES[refusal](case) if case and refusal in _MISTAKES else ()
    return next((sentence for made, sentence in mistakes if made), ADVICE[refusal])


Mistakes = Iterator[tuple[object, str]]
"""Mistakes that are known, the likeliest first: whether one has been made, and what mends it."""


def _issuer(case: Case) -> Mistakes:
    issuer, trusted, provider = case.claims.get("iss"), case.settings.issuers, case.provider
    if not isinstance(issuer, str):
        yield True, "The token names no issuer (iss): it is none of an OpenID provider."
        return
    name, host, hosts = shown(issuer), host_of(issuer), [host_of(url) for url in trusted]
    slash = any(issuer.rstrip("/") == url.rstrip("/") for url in trusted)
    yield slash, f"Only the final slash differs: write AUTH0_DOMAIN as {name}, or a tenant's host alone."
    capitals = any(issuer.lower() == url.lower() for url in trusted)
    yield capitals, "Only capital letters differ: AUTH0_DOMAIN must be as the issuer's metadata have it."
    yield is_microsofts(Said.by(case.jwt)), OF_MICROSOFT
    tenant = f"/{issuer.removeprefix('https://sts.windows.net/').strip('/')}/"
    yield host == "sts.windows.net" and any(tenant in url for url in trusted), _VERSION_1
    common = any(part in url for url in trusted for part in ("/common/", "/organizations/"))
    yield common, "Each tenant of Entra has an issuer of its own: AUTH0_DOMAIN has to name those that are trusted."
    yield provider == "AD FS" and issuer.startswith("http://"), _AD_FS
    by_id = host in hosts and host.endswith(".b2clogin.com")
    yield by_id or all(each.endswith(".ciamlogin.com") for each in (host, *hosts)), _BY_ID
    yield host in hosts and provider == "Okta (org server)", OF_OKTA
    yield host in hosts, _STRANGER.format(name)
    realm = issuer.partition("/realms/")[2]
    yield realm and any(url.partition("/realms/")[2] == realm for url in trusted), _HOSTNAME
    development = "Without AUTH0_DOMAIN only the development issuer's tokens are taken: set it, and AUTH0_AUDIENCE."
    yield case.settings.development_issuer, development
    of_both = host.endswith(".auth0.com") != any(each.endswith(".auth0.com") for each in hosts)
    elsewhere = not any(map(is_local, (issuer, *trusted)))
    yield of_both and elsewhere and provider in ("", "Auth0"), _CUSTOM_DOMAIN
    yield True, f"The issuer is {name}, and AUTH0_DOMAIN names no such: request the token from one it names."


_VERSION_1 = (
    "The token is one of version 1: if its aud names this API, set requestedAccessTokenVersion to 2 in the manifest "
    "of this API in Entra; if not, request it with a scope of this API."
)
_AD_FS = "AD FS's access tokens name their issuer with http://, and aren't taken. To change it affects all its clients."
_HOSTNAME = (
    "Keycloak names itself by the address that it is asked at: have it use the one in AUTH0_DOMAIN, with its option "
    "hostname. Another realm of that name may be a stranger's."
)
_BY_ID = (
    "The issuer's name has the tenant's id in it, not its name or policy: write AUTH0_DOMAIN as `issuer` is in your "
    "tenant's metadata, and METADATA_URL as where those are. Tokens of other tenants are strangers'."
)
_STRANGER = (
    "It says that another issuer at the same host made it, {}, perhaps a stranger's. Request the token from the "
    "one that AUTH0_DOMAIN names; to trust another is a decision about whose tokens are taken."
)
_CUSTOM_DOMAIN = (
    "Auth0's custom domains issue tokens of their own: request it from the one that AUTH0_DOMAIN names. Add another "
    "only if Auth0's dashboard lists it as yours."
)


def _audience(case: Case) -> Mistakes:
    aud, wanted, provider = case.claims.get("aud"), case.settings.audience, case.provider
    named = [aud] if isinstance(aud, str) else list(aud or ())
    missing = _NO_AUDIENCE.get(provider, "have the authorization server issue it for this API.")
    yield not named, f"The token names no audience (aud): {missing}"
    exactly = "ask for the audience exactly as AUTH0_AUDIENCE has it."
    yield any(name.rstrip("/") == wanted.rstrip("/") for name in named), f"Only the final slash differs: {exactly}"
    yield any(name.lower() == wanted.lower() for name in named), f"Only capitals differ: {exactly}"
    request = "request one with audience= and AUTH0_AUDIENCE."
    management = any(name.endswith("/api/v2/") for name in named)
    yield management, f"This token is for Auth0's Management API: {request}"
    yield all(name.endswith("/userinfo") for name in named), f"This token is for /userinfo only: {request}"
    yield is_microsofts(Said.by(case.jwt)), OF_MICROSOFT
    yield "account" in named, f"Keycloak names this audience by itself: {_MAPPER}"
    clients = [case.claims.get(name) for name in ("azp", "client_id", "cid")]
    yield wanted in clients and provider != "Keycloak", "AUTH0_AUDIENCE is a Client ID: set it to the API's identifier."
    yield provider in _OTHER_API, _OTHER_API.get(provider, "")
    audience = f"audience={wanted}" if provider in ("", "Auth0") else wanted
    yield True, f"Request a token {'with' if '=' in audience else 'for'} {audience}: this one is for another API."


_MAPPER = "add an audience mapper for AUTH0_AUDIENCE to the client."
_NO_AUDIENCE = {
    "Cognito": "Cognito's access tokens have one only if the request names it with resource=.",
    "Keycloak": _MAPPER,
    "Clerk": "Clerk's session tokens have none: make a JWT template with one and send its tokens, or customize these.",
}
"""By provider, what to do about a token without an audience."""

_CLIENT_ID = (
    "{} name an API by its Client ID: set AUTH0_AUDIENCE to this API's, from the app registration, and request a scope "
    "of this API."
)
_OTHER_API = {
    "Keycloak": f"Keycloak's token is for other clients: {_MAPPER}",
    "Supabase": "Supabase names the audience `authenticated` for every user: AUTH0_AUDIENCE has to be that.",
    "Firebase": "Firebase names the project's ID for an audience: AUTH0_AUDIENCE has to be that of your project.",
    "Okta (org server)": OF_OKTA,
    "Okta": "Okta's audience stands in the authorization server's settings: have AUTH0_AUDIENCE be that of yours.",
    "Zitadel": "Request the scope urn:zitadel:iam:org:project:id:<the project's id>:aud with the token.",
    "Entra": _CLIENT_ID.format("Entra's tokens of version 2"),
    "Entra External ID": _CLIENT_ID.format("Entra's tokens of version 2"),
    "Azure AD B2C": _CLIENT_ID.format("B2C's tokens"),
    "PingOne": "PingOne's token is for the resource whose scopes are requested: request a scope of this API.",
    "Kubernetes": "It is for another service: mount one with `audience` in its serviceAccountToken, or try one of "
    "`kubectl create token --audience`; AUTH0_AUDIENCE stands there.",
}
"""By provider, what to do about a token for another API."""


def _algorithm(case: Case) -> Mistakes:
    alg, provider, hmac = case.jwt.header["alg"], case.provider, case.jwt.header["alg"].startswith("HS")
    yield alg.lower() == "none", "The token isn't signed at all (alg none): request one from the authorization server."
    secret = f"{provider} signed it with a secret that both sides know ({alg}): have it use RS256 or ES256."
    yield hmac and provider in ("Supabase", "Keycloak"), secret
    own = (
        "A program of its own signed it with a secret that both sides know: request one from the authorization server."
    )
    yield hmac and "iss" not in case.claims, own
    yield alg in ALGORITHMS, f"If the issuer signs with {alg}, set TOKEN_ALGORITHMS to it."


def _type(case: Case) -> Mistakes:
    by_header = case.row is not None and case.row.of == ("typ",)
    demanded = "TOKEN_PROFILE=rfc9068 demands typ at+jwt: have the issuer write that; Auth0 has a profile for it."
    yield by_header and case.settings.profile == "rfc9068", demanded
    typ = shown(case.jwt.header.get("typ"))
    yield by_header, f"Its typ, {typ}, is that of no access token: send access_token of the token response."


def _unknown_key(case: Case) -> Mistakes:
    alg, kid = case.jwt.header["alg"], case.jwt.header.get("kid")
    published = [jwk for jwk in case.published if isinstance(jwk, dict)]
    named = [jwk for jwk in published if kid is None or jwk.get("kid") == kid]
    why = list(filter(None, (_unusable(jwk, alg) for jwk in named)))
    yield not published, "The issuer publishes no keys at all: that is the issuer's to mend."
    several = "The token names no key (kid), and several published ones could be it: have the issuer name it."
    yield kid is None and len(why) < len(named), several
    yield kid is None, f"The token names no key (kid), and no published one will do: {'; '.join(why)}."
    yield why, f"The key is published, but {'; '.join(why)}: that is the issuer's to mend."
    yield case.provider == "Okta (org server)", OF_OKTA
    yield case.provider.startswith("Entra"), _OWN_KEYS
    again = "The development issuer makes new keys whenever it is started: request a new token (`make token`)."
    yield case.settings.development_issuer, again
    yield True, "The issuer publishes no such key now: request a new token."


_OWN_KEYS = (
    "Entra publishes no such key there: an application with signing keys of its own (claims mapping) has them where "
    "METADATA_URL ends with ?appid= and its Client ID. Otherwise request a new token."
)


def _unusable(jwk: dict[str, Any], alg: str) -> str:
    """Why a published key verifies no signature of an algorithm; empty if it does."""
    if jwk.get("use") not in (None, "sig"):
        return f"it is not for signatures (use {shown(jwk['use'])})"
    try:
        key = public_key(jwk)
    except ValueError as error:
        return f"it can't be used: {error}"
    return "" if verifies(key, alg) else f"it is for {jwk.get('alg') or jwk.get('kty')}, not for {alg}"


def _signature(case: Case) -> Mistakes:
    length, alg = len(case.jwt.signature), case.jwt.header["alg"]
    whole = {"ES256": 64, "ES384": 96, "ES512": 132, "EdDSA": 64, "Ed25519": 64}.get(alg, 256)
    yield length < whole, "The end of the signature is missing: copy the token to its end."
    der = f"The signature is written as OpenSSL does, in DER: a JWT's has {whole} bytes (RFC 7518, section 3.4)."
    yield alg.startswith("ES") and length > whole, der
    yield True, "It was altered, or is of a test environment whose keys have the same names: request a new one."


def _claims(case: Case) -> Mistakes:
    check = case.row
    if check is None:
        return
    lacking = [name for name in check.of if name not in case.claims]
    light = "Keycloak's lightweight tokens lack sub: have its mapper add it to them, or turn them off for the client."
    yield lacking == ["sub"] and case.provider == "Keycloak", light
    add = "have the issuer add it"
    yield (
        lacking == ["sub"],
        f"The token lacks sub, which names who calls: {add}. Programs' may have none, see TOKEN_SUBJECT.",
    )
    demanded = ", ".join(name for name in check.of if not isinstance(case.claims.get(name), str | int))
    profile = f"TOKEN_PROFILE=rfc9068 demands {demanded} (RFC 9068, section 2.2): have the issuer add what lacks."
    yield len(check.of) > 1, profile
    yield lacking, f"The token lacks {' and '.join(lacking)}, which every access token needs: {add}."
    value = _JSON_TYPES.get(type(case.claims.get(check.of[0])), "an object")
    yield True, f"`{check.of[0]}` is {value}: it has to be {check.must}. Have the issuer write it so."


_JSON_TYPES = {type(None): "null", bool: "a boolean", str: "a text", list: "a list", int: "a number", float: "a number"}


def _expired(case: Case) -> Mistakes:
    expired = case.claims["exp"]
    mixed = "It expires before it is issued: whoever makes the token has mixed up exp and its lifetime."
    yield is_date(case.claims.get("iat")) and expired <= case.claims["iat"], mixed
    when = distance(expired, case.now)
    yield True, f"It expired {when}: have the client request a new one, before the old one ends."


def _not_yet(case: Case) -> Mistakes:
    yield in_milliseconds(case.claims["nbf"], case.now), _MILLISECONDS.format("nbf")
    yield True, CLOCKS.format(f"It becomes valid {distance(case.claims['nbf'], case.now)}")


def _too_old(case: Case) -> Mistakes:
    issued = case.claims.get("iat", 0)
    yield in_milliseconds(issued, case.now), _MILLISECONDS.format("iat")
    yield issued > case.now, CLOCKS.format("It was issued in the future")


def _binding(case: Case) -> Mistakes:
    cnf = case.claims.get("cnf")
    certificate = (
        "The token is bound to a certificate (mutual TLS), which this API can't check: set CLIENT_CERTIFICATE_HEADER "
        "and TRUSTED_PROXIES, or have it bound by DPoP."
    )
    unchecked = not case.settings.client_certificate_header or case.settings.mtls == "disabled"
    yield isinstance(cnf, Mapping) and "x5t#S256" in cnf and unchecked, certificate
    required = "This API takes bound tokens only (DPOP=required): request one with a proof, and send it as DPoP."
    yield cnf is None and case.settings.dpop == "required", required


_MISTAKES: dict[Refusal, Callable[[Case], Mistakes]] = {
    Refusal.ISSUER: _issuer,
    Refusal.AUDIENCE: _audience,
    Refusal.ALGORITHM: _algorithm,
    Refusal.TYPE: _type,
    Refusal.UNKNOWN_KEY: _unknown_key,
    Refusal.NOT_YET_VALID: _not_yet,
    Refusal.TOO_OLD: _too_old,
    Refusal.EXPIRED: _expired,
    Refusal.SIGNATURE: _signature,
    Refusal.CLAIMS: _claims,
    **dict.fromkeys((Refusal.SENDER_CONSTRAINED, Refusal.OTHER_BINDING, Refusal.NOT_BOUND), _binding),
}

CLOCKS = "{}: a clock is wrong, set the issuer's and this one by NTP."
"""To do about a token of the future."""

_MILLISECONDS = "{} is in milliseconds: whoever makes the token must write seconds (RFC 7519, section 2)."


def in_milliseconds(seconds: float, now: float) -> bool:
    """Whether a claim's value is a time in milliseconds, by mistake."""
    return abs(seconds / 1_000 - now) < 100 * 31_557_600 and seconds > 100 * now


def reaching(error: IssuerError) -> str:
    """What to do if an issuer's documents can't be had."""
    if error.fault:
        return _FAULTS[error.fault]
    cause: BaseException | None = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        status = cause.response.status_code
        return _STATUSES.get(status, "It fails, or what is in front of it: its log and status page say more.")
    while cause:
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
            return "Its host has no address now: look at DNS on this machine."
        for kind, remedy in _CAUSES.items():
            if isinstance(cause, kind):
                return remedy
        cause = cause.__cause__ or cause.__context__
    return "Correct AUTH0_DOMAIN, or let this machine reach it: DNS, firewall, HTTPS_PROXY, certificates."


_SILENT = "Nobody answers in time: a firewall on the way perhaps, or HTTPS_PROXY isn't set."
_STATUSES = {
    401: "Something in front of the issuer wants credentials: its documents must be open to this machine.",
    403: "Something in front of the issuer, or a proxy on the way, forbids it: allow this machine, or its User-Agent.",
    404: "Nothing is there: correct AUTH0_DOMAIN, or say with METADATA_URL or JWKS_URL where it is.",
    406: "It has no JSON for programs that accept application/json: have the issuer answer what it is asked for.",
    429: "It is asked too often, by all together who share this address: it is asked again after a while by itself.",
    503: "The issuer is overloaded or being mended: it is asked again after a while by itself.",
}
_CAUSES: dict[type[BaseException], str] = {
    httpx.ProxyError: "The proxy refuses it: see what HTTPS_PROXY, ALL_PROXY and NO_PROXY say.",
    httpx.TimeoutException: _SILENT,
    TimeoutError: _SILENT,
    ssl.SSLCertVerificationError: "Its certificate isn't valid here: see date, host; SSL_CERT_FILE adds authorities.",
    ssl.SSLError: "What answers there speaks no TLS that fits: look at the port, and at the proxy on the way.",
    socket.gaierror: "Its host has no address: correct AUTH0_DOMAIN, or DNS on this machine.",
    ConnectionRefusedError: "Nothing listens there: correct AUTH0_DOMAIN, or start it; a firewall may refuse, too.",
}
"""By what has been raised on the way, the outermost first."""

_FAULTS = {
    IssuerFault.ENVIRONMENT: "Correct the environment: a file that isn't there, or a proxy that needs `httpx[socks]`.",
    IssuerFault.REDIRECT: "It redirects to another host, or in circles: ask your provider for the address.",
    IssuerFault.ENCODING: "Its answer is compressed, which nobody asked for: have what is in front of it leave it as "
    "it is.",
    IssuerFault.DAMAGED: "Its answer is damaged on the way: look at the proxy or cache in front of it.",
    IssuerFault.TOO_LONG: "Its answer is longer than 512 KiB: that is no issuer's document.",
    IssuerFault.NOT_JSON: "What answers is no issuer, a login page or a proxy perhaps: open the URL, and correct "
    "AUTH0_DOMAIN.",
    IssuerFault.NO_KEYS_URL: "Its metadata don't say where its keys are: say it with JWKS_URL.",
    IssuerFault.NO_KEY_SET: "What is there is no key set: say with JWKS_URL where it is.",
    IssuerFault.OTHER_ISSUER: "Write AUTH0_DOMAIN as the metadata have it, if that is the issuer which you mean.",
}
