"""The application, made by the factory that a process is told of: here, or in a process of its own to see if it can be.

Whoever starts workers makes none: threads, connections and what else an application has belong to one process.
"""

import logging
import multiprocessing
import os
import pkgutil
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from resource_server.contract.spec import ContractError
from resource_server.serving.failures import places
from resource_server.settings import Settings, SettingsError

if TYPE_CHECKING:
    from resource_server.serving.flaskapp import FlaskApp


class ApplicationError(Exception):
    """The application can't be made. The message says why, and where in its code."""


def make(factory: str, settings: Settings) -> "FlaskApp":
    """Make an application, complete: nothing can be added to it afterwards.

    Args:
        factory: The function that makes it of settings, like `api.app:create_app`.
        settings: How it is served.

    Raises:
        ApplicationError: It can't be made; if the settings or the contract are why, the message is theirs.
    """
    try:
        app: FlaskApp = pkgutil.resolve_name(factory)(settings)
        app.complete()
    except (ContractError, SettingsError) as error:
        raise ApplicationError(str(error)) from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ApplicationError(f"{factory} can't make the application: {said}{_place(error)}") from error
    return app


def check(factory: str, settings: Settings) -> None:
    """Make an application in a process of its own, however long that takes, and forget it.

    Raises:
        ApplicationError: It can't be made. The arguments are those of `make`.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(factory, settings, sender), daemon=True)  # type: ignore[attr-defined]
    process.start()
    sender.close()
    try:
        why: str = receiver.recv()
    except EOFError:
        process.join()
        why = f"{factory} can't make the application: its process has ended with {process.exitcode}"
    process.join()
    if why:
        raise ApplicationError(why)


def _try(factory: str, settings: Settings, sender: Connection) -> None:
    why = ""
    logging.disable()  # whoever serves it says that again
    try:
        make(factory, settings)
    except ApplicationError as error:
        why = str(error)
    sender.send(why)
    sender.close()
    os._exit(0)  # whatever threads the application has started


def _place(error: BaseException) -> str:
    """Where in the application's own code it has failed."""
    found = [] if isinstance(error, SyntaxError) else list(places(error))  # a syntax error says so itself
    return f" ({found[-1].partition(', in ')[0]})" if found else ""
