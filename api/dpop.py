"""DPoP as the settings say: which tokens are taken, and where it is remembered which proofs have been used."""

import os
import tempfile
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
        raise SettingsError(f"REDIS_URL is set, but {error.name} isn't installed. Install the extra 'redis'.") from error
    try:
        return RedisReplays(settings.redis_url)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL: {error}") from error


def _own_folder() -> Path:
    """A folder for temporary files that nobody else can write to: the name is one that others could guess."""
    folder = Path(tempfile.gettempdir(), f"auth0-openapi-flask-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        mine = folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
        if not mine or status.st_mode & 0o077 or not os.access(folder, os.W_OK):
            raise OSError("others can write to it, or this user can't")
    except OSError as error:
        raise SettingsError(
            f"DPoP remembers used proofs in {folder}, but that is no good: {error}. Make it writable for this user "
            "alone, set TMPDIR to another place or REDIS_URL, or turn DPoP off with DPOP=disabled."
        ) from error
    return folder
