"""Failures of an application's own code, told to whoever has written it."""

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_ENGINE = Path(__file__).resolve().parent.parent


def is_own(filename: str) -> bool:
    """Whether a file is neither the engine's nor of a package."""
    path = Path(filename)
    return path.is_absolute() and not any(each in path.parents for each in _OTHERS)


_OTHERS = {_ENGINE, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))}


def places(error: BaseException) -> Iterator[str]:
    """Where an error has come through own code, the innermost last."""
    here = Path.cwd()
    for frame in traceback.extract_tb(error.__traceback__):
        if is_own(frame.filename):
            path = Path(frame.filename)
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            yield f"{shown}, line {frame.lineno}, in {frame.name}: {frame.line}"


def own_traceback(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the first own code on; all of it, if there is none."""
    found = error.__traceback__
    while found and not is_own(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or error.__traceback__
