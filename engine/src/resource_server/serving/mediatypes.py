"""Media types (RFC 9110, section 8.3.1): compared without case, and without parameters that nobody declared."""

from collections.abc import Iterable, Mapping
from email.message import Message
from functools import lru_cache
from typing import Any, NamedTuple


class MediaType(NamedTuple):
    """A media type.

    Args:
        essence: Its type and subtype, in small letters.
        parameters: Its parameters, their names in small letters.
    """

    essence: str
    parameters: Mapping[str, str]

    @staticmethod
    @lru_cache(64)  # clients send the same few
    def of(text: str) -> "MediaType":
        """What a `Content-Type` or the name of a declared media type says."""
        essence, _, rest = text.partition(";")
        if not rest.strip():
            return MediaType(essence.strip().lower(), {})
        message = Message()
        message["Content-Type"] = text
        return MediaType(essence.strip().lower(), {name.lower(): value for name, value in message.get_params([])[1:]})

    @property
    def charset(self) -> str:
        """The encoding of its text."""
        return self.parameters.get("charset", "utf-8").lower()

    @property
    def is_json(self) -> bool:
        """Whether it is a form of JSON."""
        return self.essence == "application/json" or self.essence.endswith("+json")

    @property
    def is_text(self) -> bool:
        """Whether it is plain text."""
        return self.essence == "text/plain"

    def matches(self, declared: "MediaType") -> bool:
        """Whether a declared media type, or range of them, covers it. A declared charset asks for nothing."""
        asked = {name: value for name, value in declared.parameters.items() if name != "charset"}
        if any(self.parameters.get(name) != value for name, value in asked.items()):
            return False
        kind, _, subtype = declared.essence.partition("/")
        if subtype.startswith("*+"):  # by the suffix of a structured syntax (RFC 6839)
            return self.essence.startswith(f"{kind}/") and self.essence.endswith(subtype[1:])
        return declared.essence in (self.essence, "*/*") or (subtype == "*" and self.essence.startswith(f"{kind}/"))


def best(given: MediaType, declared: Iterable[tuple[MediaType, Any]]) -> Any:
    """Of the declared ones that cover a media type, what belongs to the most specific; nothing, if none does."""
    found = [(media_type, value) for media_type, value in declared if given.matches(media_type)]
    if not found:
        return None
    return min(found, key=lambda each: _breadth(each[0]))[1]


def _breadth(media_type: MediaType) -> tuple[int, bool, int]:
    return media_type.essence.count("*"), "*+" not in media_type.essence, -len(media_type.parameters)
