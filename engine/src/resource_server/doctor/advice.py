"""What to do about each refusal: what fits the case, or what docs/troubleshooting.md says."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from resource_server.doctor.findings import distance, shown
from resource_server.doctor.jwts import Said, host_of, provider_of
from resource_server.networks import is_local
from resource_server.settings import Settings
from resource_server.tokens.checks import Check
from resource_server.tokens.claims import Expected, is_date
from resource_server.tokens.errors import Refusal
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
        return provider_of(Said.by(self.jwt))


ADVICE: dict[Refusal, str] = {
    Refusal.OVERSIZED: "It has more than 16384 characters. Put less into it.",
    Refusal.OPAQUE: (
        "Auth0 issues such a token when the request names no `audience`. Send `audience=` with `AUTH0_AUDIENCE`."
    ),
    Refusal.ENCRYPTED: "Turn off JSON Web Encryption in the settings of the API in Auth0.",
    Refusal.MALFORMED: "It was cut, quoted or line-wrapped on its way. It has three parts of base64url, without `=`.",
    Refusal.ALGORITHM: (
        "`alg` isn't one of `TOKEN_ALGORITHMS`. With `HS256`, set the signing algorithm of the API in Auth0 to RS256."
    ),
    Refusal.CRITICAL: "Auth0 issues no such token.",
    Refusal.TYPE: (
        "Its type or its claims are those of an ID token or a logout token. Use `access_token` of the token "
        "response, not `id_token`."
    ),
    Refusal.ISSUER: (
        "`iss` isn't one of `AUTH0_DOMAIN`. Request the token from one that it names; another belongs there only if it "
        "is yours."
    ),
    Refusal.UNKNOWN_KEY: (
        "The issuer publishes no such key now: request a new token. After a new start of `make run` that is always so."
    ),
    Refusal.SIGNATURE: "It was altered, or copied without its end.",
    Refusal.CLAIMS: (
        "`sub` and `exp` are required, and each claim of its type. An action that adds claims may have overwritten one."
    ),
    Refusal.AUDIENCE: (
        "`aud` doesn't name `AUTH0_AUDIENCE`, to the character: mind the final slash. An ID token has the "
        "Client ID here."
    ),
    Refusal.EXPIRED: (
        "Tokens aren't renewed by the API. If it has just been issued, a clock is wrong; `TOKEN_LEEWAY` "
        "allows for seconds."
    ),
    Refusal.NOT_YET_VALID: "`nbf` is in the future, by more than `TOKEN_LEEWAY`.",
    Refusal.TOO_OLD: "It is older than `TOKEN_MAX_AGE`, or doesn't say how old it is (`iat`).",
    Refusal.NOT_ACCEPTED: (
        "A function of your own, which `x-tokenInfoFunc` or `x-bearerInfoFunc` names, has returned `None`."
    ),
    Refusal.SENDER_CONSTRAINED: (
        "It has `cnf`. Send it as `DPoP` with a proof (the API must know its `PUBLIC_URL`), or turn off "
        "sender constraining for this API."
    ),
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
    """What to do about a refusal.

    Args:
        refusal: The refusal.
        case: The token, if it could be taken apart.
    """
    mistakes = _MISTAKES[refusal](case) if case and refusal in _MISTAKES else ()
    return next((sentence for made, sentence in mistakes if made), ADVICE[refusal])


Mistakes = Iterator[tuple[object, str]]
"""Mistakes that are known, the likeliest first: whether one has been made, and what mends it."""


def _issuer(case: Case) -> Mistakes:
    issuer, trusted = case.claims.get("iss"), case.settings.issuers
    if not isinstance(issuer, str):
        yield True, "The token names no issuer (iss): it is none of an OpenID provider."
        return
    name, host, hosts = shown(issuer), host_of(issuer), [host_of(url) for url in trusted]
    slash = any(issuer.rstrip("/") == url.rstrip("/") for url in trusted)
    yield slash, f"Only the final slash differs: write AUTH0_DOMAIN as {name}, or a tenant's host alone."
    capitals = any(issuer.lower() == url.lower() for url in trusted)
    yield capitals, "Only capital letters differ: AUTH0_DOMAIN must be as the issuer's metadata have it."
    tenant = f"/{issuer.removeprefix('https://sts.windows.net/').strip('/')}/"
    version1 = "The token is one of version 1: set requestedAccessTokenVersion to 2 in the API's manifest in Entra."
    yield host == "sts.windows.net" and any(tenant in url for url in trusted), version1
    common = any(part in url for url in trusted for part in ("/common/", "/organizations/"))
    yield common, "Each tenant of Entra has an issuer of its own: AUTH0_DOMAIN has to name those that are trusted."
    http = (
        "AD FS's access tokens name their issuer with http://, and aren't taken. To change it affects all its clients."
    )
    yield case.provider == "AD FS" and issuer.startswith("http://"), http
    by_id = host in hosts and host.endswith(".b2clogin.com")
    yield by_id or all(each.endswith(".ciamlogin.com") for each in (host, *hosts)), _BY_ID
    yield host in hosts, _STRANGER.format(name)
    realm = issuer.partition("/realms/")[2]
    address = "Keycloak names itself by the address that it is asked at: have it use one, with its option hostname."
    yield realm and any(url.partition("/realms/")[2] == realm for url in trusted), address
    development = "Without AUTH0_DOMAIN only the development issuer's tokens are taken: set it, and AUTH0_AUDIENCE."
    yield case.settings.development_issuer, development
    of_both = host.endswith(".auth0.com") != any(each.endswith(".auth0.com") for each in hosts)
    elsewhere = not any(map(is_local, (issuer, *trusted)))
    yield of_both and elsewhere and case.provider in ("", "Auth0"), _CUSTOM_DOMAIN
    yield True, f"The issuer is {name}, and AUTH0_DOMAIN names no such: request the token from one it names."


_BY_ID = (
    "The issuer's name has the tenant's id in it, not its name or policy: write AUTH0_DOMAIN as `issuer` is in your "
    "tenant's metadata, and METADATA_URL as where those are."
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
    yield not named, _NO_AUDIENCE.get(provider, _NO_AUDIENCE[""])
    exactly = "ask for the audience exactly as AUTH0_AUDIENCE has it."
    yield any(name.rstrip("/") == wanted.rstrip("/") for name in named), f"Only the final slash differs: {exactly}"
    yield any(name.lower() == wanted.lower() for name in named), f"Only capitals differ: {exactly}"
    request = "request one with audience= and AUTH0_AUDIENCE."
    management = any(name.endswith("/api/v2/") for name in named)
    yield management, f"This token is for Auth0's Management API: {request}"
    yield all(name.endswith("/userinfo") for name in named), f"This token is for /userinfo only: {request}"
    mapper = "Keycloak names this audience by itself: add an audience mapper for AUTH0_AUDIENCE to the client."
    yield "account" in named, mapper
    everyone = "Supabase names the audience `authenticated` for every user: AUTH0_AUDIENCE has to be that."
    yield provider == "Supabase", everyone
    yield provider == "Okta (org server)", _OKTA
    project = "Request the scope urn:zitadel:iam:org:project:id:<the project's id>:aud with the token."
    yield provider == "Zitadel", project
    clients = [case.claims.get(name) for name in ("azp", "client_id", "cid")]
    yield wanted in clients, "AUTH0_AUDIENCE is a Client ID: set it to the API's identifier."
    yield provider in ("Entra", "Entra External ID"), _CLIENT_ID
    audience = f"audience={wanted}" if provider in ("", "Auth0") else wanted
    yield True, f"Request a token {'with' if '=' in audience else 'for'} {audience}: this one is for another API."


_CLIENT_ID = (
    "Entra's tokens of version 2 name an API by its Client ID: set AUTH0_AUDIENCE to this API's, from the app "
    "registration, and request a scope of this API."
)
_OKTA = "Okta's org server issues tokens that only Okta can check: request one from a custom authorization server."
_NO_AUDIENCE = {
    "": "The token names no audience (aud): have the authorization server issue it for this API.",
    "Cognito": "Cognito's access tokens name no audience (aud), unless the request names one with resource=.",
    "Keycloak": "The token names no audience (aud): add an audience mapper for AUTH0_AUDIENCE to the client.",
    "Clerk": "Clerk's session tokens name no audience (aud): make a JWT template with one, and send its tokens.",
}


def _algorithm(case: Case) -> Mistakes:
    alg = case.jwt.header["alg"]
    yield alg.lower() == "none", "The token isn't signed at all (alg none): nobody should take it."
    secret = f"{case.provider} signed it with a secret that both sides know ({alg}): have it use RS256 or ES256."
    yield alg.startswith("HS") and case.provider in ("Supabase", "Keycloak"), secret
    yield alg in ALGORITHMS, f"If the issuer signs with {alg}, set TOKEN_ALGORITHMS to it."


def _type(case: Case) -> Mistakes:
    by_header = case.row is not None and case.row.of == ("typ",)
    demanded = "TOKEN_PROFILE=rfc9068 demands typ at+jwt: have the issuer write that, or leave the setting out."
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
    yield case.provider == "Okta (org server)", _OKTA
    again = "The development issuer makes new keys whenever it is started: request a new token (`make token`)."
    yield case.settings.development_issuer, again


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
    yield lacking == ["sub"], f"The token lacks sub, which names who calls: {add}, or set TOKEN_SUBJECT=false."
    demanded = ", ".join(name for name in check.of if not isinstance(case.claims.get(name), str | int))
    profile = f"TOKEN_PROFILE=rfc9068 demands {demanded} (RFC 9068, section 2.2): have the issuer add what lacks."
    yield len(check.of) > 1, profile
    yield lacking, f"The token lacks {' and '.join(lacking)}, which every access token needs: {add}."
    value = _json_type(case.claims.get(check.of[0]))
    yield True, f"`{check.of[0]}` is {value}: it has to be {check.must}. Have the issuer write it so."


def _json_type(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    names = ((str, "a text"), (int | float, "a number"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "an object")


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
        "and TRUSTED_PROXIES, or turn that off for it."
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
    Refusal.SENDER_CONSTRAINED: _binding,
    Refusal.OTHER_BINDING: _binding,
    Refusal.NOT_BOUND: _binding,
}

CLOCKS = "{}: a clock is wrong, set the issuer's and this one by NTP."
"""To do about a token of the future."""

_MILLISECONDS = "{} is in milliseconds: whoever makes the token must write seconds (RFC 7519, section 2)."


def in_milliseconds(seconds: float, now: float) -> bool:
    """Whether a claim's value is a time in milliseconds, by mistake."""
    return abs(seconds / 1_000 - now) < 100 * 31_557_600 and seconds > 100 * now


def reaching(error: Exception) -> str:
    """What to do if an issuer's documents can't be had.

    Args:
        error: An `IssuerError`, or what its answer is refused with.
    """
    cause, said = error.__cause__ or error, f"{error}"
    if isinstance(cause, httpx.HTTPStatusError):
        status = cause.response.status_code
        return _STATUSES.get(status, "It fails, or what is in front of it: its log and status page say more.")
    if isinstance(cause, httpx.ProxyError):
        return "The proxy refuses it: see what HTTPS_PROXY, ALL_PROXY and NO_PROXY say."
    return next((remedy for part, remedy in _SAID.items() if part in said), _OTHERWISE)


_STATUSES = {
    401: "Something in front of the issuer wants credentials: its documents must be open to this machine.",
    403: "Something in front of the issuer, or a proxy on the way, forbids it: allow this machine, or its User-Agent.",
    404: "Nothing is there: correct AUTH0_DOMAIN, or say with METADATA_URL or JWKS_URL where it is.",
    406: "It has no JSON for programs that accept application/json: have the issuer answer what it is asked for.",
    429: "It is asked too often, by all together who share this address: it is asked again after a while by itself.",
    503: "The issuer is overloaded or being mended: it is asked again after a while by itself.",
}
_OTHERWISE = "Correct AUTH0_DOMAIN, or let this machine reach it: DNS, firewall, HTTPS_PROXY, certificates."
_SAID = {
    "can't be asked": "Correct the environment: a file that isn't there, or a proxy that needs `httpx[socks]`.",
    "CERTIFICATE_VERIFY_FAILED": "Its certificate isn't valid here: see its date and host, and last SSL_CERT_FILE.",
    "SSL": "What answers there speaks no TLS that fits: look at the port, and at the proxy on the way.",
    "Name or service": "Its host has no address: correct AUTH0_DOMAIN, or DNS on this machine.",
    "No address": "Its host has no address: correct AUTH0_DOMAIN, or DNS on this machine.",
    "name resolution": "Its host has no address now: look at DNS on this machine.",
    "refused": "Nothing listens there: correct AUTH0_DOMAIN, or start it; a firewall may refuse, too.",
    "Timeout": "Nobody answers in time: a firewall on the way perhaps, or HTTPS_PROXY isn't set.",
    "to another origin": "It redirects to another host: ask your provider for the address, don't follow it.",
    "encoded as": "Its answer is compressed, which nobody asked for: have what is in front of it leave it as it is.",
    "no gzip": "Its answer is damaged on the way: look at the proxy or cache in front of it.",
    "too long": "Its answer is longer than 512 KiB: that is no issuer's document.",
    "JSON": "What answers is no issuer, a login page or a proxy perhaps: open the URL, and correct AUTH0_DOMAIN.",
    "no https jwks_uri": "Its metadata don't say where its keys are: say it with JWKS_URL.",
    "JWK set": "What is there is no key set: say with JWKS_URL where it is.",
    "says that the issuer is": "Write AUTH0_DOMAIN as the metadata have it, if that is the issuer which you mean.",
}
"""By a part of what is said, what to do."""
