"""Where it is remembered which proofs have been used, tried out."""

import secrets
from collections.abc import Iterator

from resource_server.doctor.findings import Finding, Verdict
from resource_server.settings import Settings, SettingsError
from resource_server.tokens.dpop import Proof
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.validating import make_dpop

_MATTERS = 360
"""Seconds for which a proof that has just been made matters."""


def store_findings(settings: Settings, now: float) -> Iterator[Finding]:
    """What comes of using a proof that nobody has made.

    Args:
        settings: Say where it is remembered.
        now: The time in seconds since the epoch.
    """
    place = "Redis" if settings.redis_url else "SQLite, for this machine"
    try:
        dpop = make_dpop(settings)
        if dpop is None:
            yield Finding("used proofs", Verdict.NOT_CHECKED, meaning="Bound tokens (DPoP) aren't taken.")
            return
        dpop.use(Proof(secrets.token_bytes(32), now + _MATTERS, ""))
    except SettingsError as error:
        yield Finding("used proofs", Verdict.FAILED, str(error), meaning="The API doesn't start.", advice=_AS_IT_SAYS)
    except ReplaysUnavailable as error:
        found = f"{place}: {error.__cause__ or 'what has been remembered is lost'}"
        meaning = "Bound tokens are answered with 503; Bearer tokens are taken."
        yield Finding("used proofs", Verdict.FAILED, found, meaning=meaning, advice=_REMEDY)
    else:
        meaning = "Bound tokens are required." if dpop.required else "Bound tokens are taken."
        yield Finding("used proofs", Verdict.PASSED, f"remembered in {place}", meaning=meaning)


_AS_IT_SAYS = "Correct it as it says."
_REMEDY = "Have Redis answer, with maxmemory-policy noeviction; without REDIS_URL make room in the temporary folder."
