"""What to do about each refusal: as docs/troubleshooting.md has it, or what fits the case better."""

from resource_server.doctor.closer import CLOSER, Case
from resource_server.tokens.errors import Refusal

ADVICE: dict[Refusal, str] = {
    Refusal.OVERSIZED: "It has more than 16384 characters. Put less into it.",
    Refusal.OPAQUE: (
        "Auth0 issues such a token when the request names no `audience`. Send `audience=` with `AUTH0_AUDIENCE`."
    ),
    Refusal.ENCRYPTED: "Turn off JSON Web Encryption in the settings of the API in Auth0.",
    Refusal.MALFORMED: "It was cut, quoted or line-wrapped on its way. It has three parts of base64url, without `=`.",
    Refusal.ALGORITHM: (
        "`alg` isn't one of `TOKEN_ALGORITHMS`. With `HS256`, make the API in Auth0 anew, with RS256: it "
        "can't be changed."
    ),
    Refusal.CRITICAL: "Auth0 issues no such token.",
    Refusal.TYPE: (
        "Its type or its claims are those of an ID token or a logout token. Use `access_token` of the token "
        "response, not `id_token`."
    ),
    Refusal.ISSUER: (
        "`iss` isn't one of `AUTH0_DOMAIN`: another tenant, or the tenant's other domain. Several go with commas."
    ),
    Refusal.UNKNOWN_KEY: (
        "The key was withdrawn: request a new token. With `make run`: it was started again, with new keys."
    ),
    Refusal.SIGNATURE: "It was altered, or copied without its end.",
    Refusal.CLAIMS: "`sub` and `exp` are required. An action that adds claims may have overwritten one.",
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
}
"""As the guide says it."""


def advice(refusal: Refusal, case: Case | None) -> str:
    """What to do about a refusal.

    Args:
        refusal: The refusal.
        case: The token, if it could be taken apart.
    """
    look = CLOSER.get(refusal)
    return (look(case) if look and case else None) or ADVICE[refusal]
