"""How the functions of an application are called."""

import inspect
import sys
from collections.abc import Callable
from typing import Any


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return how a function is called, whatever its annotations name.

    Python 3.14 evaluates them when they are asked for (PEP 649), and they may name what only type checkers import.

    Raises:
        TypeError: It is no function.
        ValueError: It doesn't say how it is called.
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.STRING)
    return inspect.signature(function)


def argument_names(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """Return the names of the arguments that a function takes, and whether it takes any other, too."""
    parameters = signature(function).parameters.values()
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters)
    return [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)], takes_all
