"""The values that a check is about, beside those that are expected."""

from collections.abc import Callable
from typing import NamedTuple

from resource_server.doctor.closer import CLOCKS, Case, in_milliseconds
from resource_server.doctor.findings import shown
from resource_server.doctor.moments import duration, moment
from resource_server.tokens.claims import is_date


class Actual(NamedTuple):
    """What there is, what is expected; and what to say of it, although it passes."""

    value: str
    expected: str = ""
    meaning: str = ""
    advice: str = ""


def actual(check: str, case: Case) -> Actual:
    """The values of one check."""
    return _OF[check](case)


def _header(case: Case) -> Actual:
    present = (f"{name} {shown(case.jwt.header[name])}" for name in ("alg", "kid", "typ") if name in case.jwt.header)
    return Actual(", ".join(present), "alg, and text in alg, kid and typ")


def _algorithm(case: Case) -> Actual:
    return Actual(shown(case.jwt.header.get("alg")), " or ".join(case.settings.algorithms))


def _extensions(case: Case) -> Actual:
    present = [f"{name} {shown(case.jwt.header[name])}" for name in ("crit", "b64") if name in case.jwt.header]
    return Actual(", ".join(present) or "none", "none")


def _type(case: Case) -> Actual:
    return Actual(shown(case.jwt.header["typ"]) if "typ" in case.jwt.header else "no typ", "JWT, at+jwt or no typ")


def _issuer(case: Case) -> Actual:
    return Actual(_claim("iss", case), " or ".join(map(shown, case.settings.issuers)))


def _key(case: Case) -> Actual:
    return Actual(f"kid {shown(case.jwt.header['kid'])}" if "kid" in case.jwt.header else "no kid")


def _claims(case: Case) -> Actual:
    names = ("sub", "exp", "nbf", "iat", "aud", "scope", "scp", "permissions")
    present = (f"{name} {shown(case.claims[name])}" for name in names if name in case.claims)
    return Actual(", ".join(present) or "none", "sub, exp, and each of its type")


def _purpose(case: Case) -> Actual:
    names = ("nonce", "at_hash", "c_hash", "s_hash", "events")
    present = ", ".join(name for name in names if name in case.claims)
    return Actual(present or "no claim of other tokens", "no events; no claim of ID tokens without scopes")


def _audience(case: Case) -> Actual:
    return Actual(_claim("aud", case), shown(case.settings.audience))


def _expiry(case: Case) -> Actual:
    found = _time("exp", case)
    if is_date(case.claims.get("exp")) and in_milliseconds(case.claims["exp"], case.now):
        meaning = "It is accepted, and will hardly ever expire."
        return Actual(found, meaning=meaning, advice="exp is in milliseconds: have it written in seconds.")
    return Actual(found, f"later than {moment(case.now, case.now)}{_leeway(case)}")


def _start(case: Case) -> Actual:
    if "nbf" not in case.claims:
        return Actual("no nbf")
    return Actual(_time("nbf", case), f"not later than {moment(case.now, case.now)}{_leeway(case)}")


def _age(case: Case) -> Actual:
    found, most, issued = _time("iat", case), case.settings.max_age, case.claims.get("iat")
    if is_date(issued) and issued > case.now + case.settings.leeway and most is None:
        meaning = "It is accepted, as nothing says how old it may be."
        return Actual(found, meaning=meaning, advice=CLOCKS.format("It was issued in the future"))
    return Actual(found, "" if most is None else f"not more than {duration(most)} ago{_leeway(case)}")


def _claim(name: str, case: Case) -> str:
    return shown(case.claims[name]) if name in case.claims else f"no {name}"


def _time(name: str, case: Case) -> str:
    value = case.claims.get(name)
    return f"{shown(value)}, {moment(value, case.now)}" if is_date(value) else _claim(name, case)


def _leeway(case: Case) -> str:
    return f", give or take {case.settings.leeway:g} seconds"


_OF: dict[str, Callable[[Case], Actual]] = {
    "header": _header,
    "algorithm": _algorithm,
    "extensions": _extensions,
    "type": _type,
    "issuer": _issuer,
    "key": _key,
    "claims": _claims,
    "purpose": _purpose,
    "audience": _audience,
    "expiry": _expiry,
    "start": _start,
    "age": _age,
}
