"""Which operation a request is for: the one decision that authorization, validation and handler go by."""

import re
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException

from resource_server.contract.spec import VARIABLE
from resource_server.serving.exchange import Exchange
from resource_server.serving.plans import Plan

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
        self._root = _Node()

    def add(self, plan: Plan) -> None:
        """Add an operation."""
        if "{" in plan.path:
            self._root.add(plan.path.split("/"), plan)
        else:
            self._concrete.setdefault(plan.path, {})[plan.method] = plan

    def find(self, exchange: Exchange, path: str) -> tuple[Plan | None, dict[str, str]]:
        """The operation that a request is for, and what its path says; nothing if no operation has this path.

        Raises:
            HTTPException: With 404, if readers of the path could see different segments; with 405, if only operations
                of other methods have this path.
        """
        if not _is_plain(exchange, path):
            raise HTTPException(404)
        method = exchange.scope["method"]
        plans: Mapping[str, Plan] | None = self._concrete.get(path)
        texts: list[str] = []
        if plans is None:
            plans, texts = self._root.find(path.split("/"), method)
        plan = plans.get(method) or (plans.get("GET") if method == "HEAD" else None)
        if plan:
            return plan, dict(zip(plan.path_names, texts, strict=True))
        if plans:
            raise not_allowed(set(plans))
        return None, {}


def not_allowed(methods: set[str]) -> HTTPException:
    """405, with the methods that are."""
    known = {*methods, "HEAD"} if "GET" in methods else methods
    return HTTPException(405, headers={"Allow": ", ".join(sorted(known))})


class _Node:
    """The operations whose paths begin with the same segments: those that end here, and those that go on."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._concrete: dict[str, _Node] = {}
        self._templated: dict[tuple[str, str], tuple[re.Pattern[str], _Node]] = {}
        """By the segment without the names of its parameters, and what they match."""

    def add(self, segments: Sequence[str], plan: Plan) -> None:
        """Add an operation, by what is left of its path."""
        if not segments:
            self._plans[plan.method] = plan
            return
        segment, *rest = segments
        if "{" not in segment:
            self._concrete.setdefault(segment, _Node()).add(rest, plan)
            return
        if any(plan.path_kinds.get(name) == "path" for name in VARIABLE.findall("/".join(segments))):
            segment, rest = "/".join(segments), []  # it may have slashes, so it takes all that is left
        pattern = _pattern(segment, plan.path_kinds)
        key = VARIABLE.sub("{}", segment), pattern.pattern
        self._templated.setdefault(key, (pattern, _Node()))[1].add(rest, plan)
        # What says more comes first, and what takes all that is left comes last.
        self._templated = dict(
            sorted(self._templated.items(), key=lambda each: (_REST in each[0][1], -len(each[0][0])))
        )

    def find(self, segments: Sequence[str], method: str) -> tuple[Mapping[str, Plan], list[str]]:
        """The operations of a path, with one of the method if any has, and the texts of the path's parameters."""
        if not segments:
            return self._plans, []
        found: tuple[Mapping[str, Plan], list[str]] = {}, []
        if segments[0] in self._concrete:
            found = self._concrete[segments[0]].find(segments[1:], method)
        decided = ""
        for (template, written), (pattern, node) in self._templated.items():
            if found[0] and (method in found[0] or template != decided):
                break  # the same path may be there twice, with parameters of other types
            whole = _REST in written
            if match := pattern.fullmatch("/".join(segments) if whole else segments[0]):
                plans, texts = node.find([] if whole else segments[1:], method)
                if plans and (method in plans or not found[0]):
                    found, decided = (plans, [*match.groups(), *texts]), template
        return found


def _pattern(segment: str, kinds: Mapping[str, str]) -> re.Pattern[str]:
    """What a segment matches, or several."""
    parts = re.split(r"(\{[^{}]*\})", segment)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = (f"({_KINDS.get(kinds.get(part[1:-1], ''), '[^/]+')})" for part in parts[1::2])
    return re.compile("".join(parts), re.DOTALL)


_REST = f"({_KINDS['path']})"


def _is_plain(exchange: Exchange, path: str) -> bool:
    """Whether every reader of the path sees the same segments: no escaped slash, no control character."""
    # RFC 3986, section 2.2: an escaped slash is data, but routers, which see the path decoded, take it for a separator.
    return b"%2f" not in (exchange.scope.get("raw_path") or b"").lower() and not _CONTROL.search(path)
