"""Validating as the settings say: what is checked of tokens, and where it is remembered which proofs have been used."""

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from resource_server.settings import Settings, SettingsError
from resource_server.tokens.certificates import MutualTLS
from resource_server.tokens.dpop import DPoP
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.nonces import Nonces
from resource_server.tokens.replays import ReplayCache, SQLiteReplayCache


def validator_options(settings: Settings) -> dict[str, Any]:
    """The keyword arguments of a validator that are settings.

    Raises:
        SettingsError: Proofs are to be checked, but can't be.
    """
    options = {name: getattr(settings, name) for name in _SAME}
    rfc9068 = settings.profile == "rfc9068"
    return options | {"rfc9068": rfc9068, "dpop": make_dpop(settings), "mtls": make_mtls(settings)}


_SAME = (
    *("algorithms", "leeway", "max_age", "permissions", "scope_claims", "subject"),
    *("metadata_urls", "jwks_urls", "max_stale", "token_cache_size", "transport"),
)
"""What settings and arguments have the same name for."""


def takes_proofs(settings: Settings) -> bool:
    """Whether tokens that are bound to a key are taken, with proofs."""
    return settings.dpop != "disabled" and bool(settings.base_url)


def make_dpop(settings: Settings) -> DPoP | None:
    """What checks proofs; nothing if they aren't taken.

    Raises:
        SettingsError: It can't be remembered which have been used, or isn't known which URL they must name.
    """
    if settings.dpop in ("allowed", "required") and not settings.base_url:
        raise SettingsError(f"DPoP is {settings.dpop}, but it isn't known where the API is reached. Set PUBLIC_URL.")
    if not takes_proofs(settings):
        return None
    secret = settings.dpop_nonce_secret
    nonces = Nonces(secret.encode("utf-8", "surrogateescape")) if secret else None
    return DPoP(_replays(settings), required=settings.dpop == "required", nonces=nonces)


def make_mtls(settings: Settings) -> MutualTLS | None:
    """What checks client certificates; nothing if tokens that are bound to one aren't taken."""
    header = settings.client_certificate_header
    if not header or settings.mtls == "disabled":
        return None
    return MutualTLS(header, settings.trusted_proxies, required=settings.mtls == "required")


def _replays(settings: Settings) -> ReplayCache:
    if not settings.redis_url:
        return _file(_own_folder() / f"used-proofs-{settings.port}.sqlite3")
    try:
        from resource_server.tokens.redis_replays import RedisReplayCache
    except ImportError as error:
        raise SettingsError(
            f"REDIS_URL is set, but {error.name} isn't installed. Install the extra 'redis'."
        ) from error
    try:
        return RedisReplayCache(settings.redis_url)
    except ValueError:
        # Without the cause, which may have the password in it.
        raise SettingsError(
            "REDIS_URL is unusable. Set it to a URL like redis://:password@host:6379/0, or rediss:// for TLS, with "
            "special characters of the password as %2F."
        ) from None


def _file(path: Path) -> SQLiteReplayCache:
    replays = SQLiteReplayCache(path)
    try:
        replays.prepare()
    except ReplaysUnavailable as error:
        raise _unusable(path, str(error.__cause__), "Delete it") from error
    return replays


def _own_folder() -> Path:
    """A folder for temporary files that nobody else can write to: the name is one that others could guess."""
    name = f"resource-server-{os.getuid()}"
    try:
        folder = Path(tempfile.gettempdir(), name)
    except FileNotFoundError as error:
        raise _unusable(Path("a temporary folder"), str(error), "Mount a writable /tmp") from error
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise _unusable(folder, str(error), "Make it writable for this user alone") from error
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not mine or status.st_mode & 0o077 or not os.access(folder, os.W_OK):
        why = "it isn't a folder which this user alone can write to"
        raise _unusable(folder, why, "Make it writable for this user alone")
    return folder


def _unusable(path: Path, why: str, remedy: str) -> SettingsError:
    return SettingsError(
        f"DPoP remembers used proofs in {path}, but that is no good: {why}. {remedy}, set TMPDIR to another place or "
        "REDIS_URL, or turn DPoP off with DPOP=disabled."
    )
