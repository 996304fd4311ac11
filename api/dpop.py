"""DPoP as the settings say: which tokens are taken, and where it is remembered which proofs have been used."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from api.settings import Settings, SettingsError
from security.dpop import DPoP
from security.nonces import Nonces
from security.replays import Replays, SQLiteReplays


def make_dpop(settings: Settings) -> DPoP | None:
    """What checks proofs; nothing if they aren't taken.

    Raises:
        SettingsError: It can't be remembered which have been used.
    """
    if settings.dpop == "disabled" or not settings.base_url:
        return None
    nonces = Nonces(settings.dpop_nonce_secret.encode()) if settings.dpop_nonce_secret else None
    return DPoP(_replays(settings), required=settings.dpop == "required", nonces=nonces)


def _replays(settings: Settings) -> Replays:
    if not settings.redis_url:
        return SQLiteReplays(_own_folder() / f"proofs-{settings.port}.sqlite3")
    try:
        from security.redis_replays import RedisReplays
    except ImportError as error:
        raise SettingsError(
            f"REDIS_URL is set, but {error.name} isn't installed. Install the extra 'redis'."
        ) from error
    try:
        return RedisReplays(settings.redis_url)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL: {error}") from error


def _own_folder() -> Path:
    """A folder for temporary files that nobody else can write to: the name is one that others could guess."""
    folder = Path(tempfile.gettempdir(), f"auth0-openapi-flask-{os.getuid()}")
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if own and os.access(folder, os.W_OK):
            return folder
    raise SettingsError(
        f"DPoP remembers used proofs in {folder}, which isn't writable for this user, or is for others, too. "
        "Set TMPDIR to another place, or REDIS_URL, or turn DPoP off with DPOP=disabled."
    )
