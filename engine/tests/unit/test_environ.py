"""Flask sees the header fields that validation and authorization have seen, and no other as one of those."""

from starlette.types import Message

from resource_server.serving.exchange import Exchange
from resource_server.serving.flasks import environ


def variables(*fields: tuple[bytes, bytes]) -> dict[str, object]:
    scope = {
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "query_string": b"\xff",
        "headers": list(fields),
    }
    return environ(Exchange(scope, receive))


async def receive() -> Message:
    """Nothing comes."""
    return {"type": "http.disconnect"}


def test_length_and_type_of_the_body_are_those_of_their_own_fields_only() -> None:
    found = variables(
        (b"content-length", b"3"),
        (b"content_length", b"99"),
        (b"content-type", b"application/json"),
        (b"content_type", b"text/plain"),
    )
    assert (found["CONTENT_LENGTH"], found["CONTENT_TYPE"]) == ("3", "application/json")


def test_field_is_found_with_all_its_values() -> None:
    assert variables((b"x-a", b"1"), (b"x-a", b"\xe9"))["HTTP_X_A"] == "1,é"
