"""Which operation a request is for: the one decision that authorization, validation and handler go by."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.exceptions import HTTPException

from resource_server.serving.exchange import Exchange
from resource_server.serving.plans import Plan

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_KINDS = {
    "integer": r"[+-]?[0-9]{1,400}",
    "number": r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})",
    "path": r".*",
}
"""By the type of a parameter, what matches it."""


class Routes:
    """The operations of an application by path and method.

    Paths are exact, a concrete path comes before a templated one, and the first that fits decides alone (OpenAPI 3.1,
    Paths Object).
    """

    def __init__(self) -> None:
        self._concrete: dict[str, dict[str, Plan]] = {}
        self._templated: dict[str, _Template] = {}

    def add(self, plan: Plan) -> None:
        """Add an operation."""
        path = plan.path
        if "{" not in path:
            self._concrete.setdefault(path, {})[plan.method] = plan
            return
        template = self._templated.get(path) or _Template.of(path, plan.path_kinds)
        self._templated[path] = template
        template.plans[plan.method] = plan
        self._templated = dict(sorted(self._templated.items(), key=lambda item: _concreteness(*item)))

    def find(self, exchange: Exchange, path: str) -> tuple[Plan | None, dict[str, str]]:
        """The operation that a request is for, and what its path says; nothing if no operation has this path.

        Raises:
            HTTPException: With 404, if readers of the path could see different segments; with 405, if only operations
                of other methods have this path.
        """
        if not _is_plain(exchange, path):
            raise HTTPException(404)
        method = exchange.scope["method"]
        plans, values = self._of(path)
        if method in plans:
            return plans[method], values
        if method == "HEAD" and "GET" in plans:
            return plans["GET"], values
        if plans:
            raise not_allowed(set(plans))
        return None, {}

    def _of(self, path: str) -> tuple[Mapping[str, Plan], dict[str, str]]:
        """The operations of a path, and the texts of its parameters by name."""
        if path in self._concrete:
            return self._concrete[path], {}
        for template in self._templated.values():
            if match := template.pattern.fullmatch(path):
                return template.plans, dict(zip(template.names, match.groups(), strict=True))
        return {}, {}


def not_allowed(methods: set[str]) -> HTTPException:
    """405, with the methods that are."""
    known = {*methods, "HEAD"} if "GET" in methods else methods
    return HTTPException(405, headers={"Allow": ", ".join(sorted(known))})


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    names: list[str]
    plans: dict[str, Plan]

    @classmethod
    def of(cls, path: str, kinds: Mapping[str, str]) -> "_Template":
        texts, names = _PARAMETER.split(path)[::2], _PARAMETER.findall(path)
        groups = (f"({_KINDS.get(kinds.get(name, ''), '[^/]+')})" for name in names)
        pattern = re.escape(texts[0]) + "".join(
            group + re.escape(text) for group, text in zip(groups, texts[1:], strict=True)
        )
        return cls(re.compile(pattern, re.DOTALL), names, {})


def _concreteness(path: str, template: _Template) -> list[tuple[bool, bool, int]]:
    """Sorts concrete segments before templated ones, and of these the ones that say more first."""
    whole = "(.*)" in template.pattern.pattern
    return [
        ("{" in segment, "{" in segment and whole, -len(_PARAMETER.sub("", segment))) for segment in path.split("/")
    ]


def _is_plain(exchange: Exchange, path: str) -> bool:
    """Whether every reader of the path sees the same segments: no escaped slash, no control character."""
    # RFC 3986, section 2.2: an escaped slash is data, but routers, which see the path decoded, take it for a separator.
    return b"%2f" not in (exchange.scope.get("raw_path") or b"").lower() and not _CONTROL.search(path)
