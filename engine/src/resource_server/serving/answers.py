"""What the contract says of answers, against which they are held in development."""

from collections.abc import Mapping
from typing import Any

from connexion.exceptions import NonConformingResponse, NonConformingResponseBody, NonConformingResponseHeaders

from resource_server.contract.compiled import Compiled
from resource_server.contract.spec import follow
from resource_server.contract.types import Content
from resource_server.serving.exchange import Answer
from resource_server.serving.mediatypes import MediaType, best
from resource_server.serving.parameters import Style


def declared_for(responses: Mapping[str, Any], status: int) -> Any:
    """What is declared for a status: by itself, by its class, like `2XX`, or by default."""
    return responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default")


class AnswerCheck:
    """Holds answers of an operation against its declaration.

    Args:
        responses: What is declared, by status.
        compiled: The contract.
    """

    def __init__(self, responses: Mapping[str, Any], compiled: Compiled) -> None:
        self._responses = responses
        self._compiled = compiled
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, answered: Answer, method: str) -> None:
        """Hold an answer against the declaration; of one that comes in parts, its status and header fields.

        Raises:
            NonConformingResponse: It isn't what the contract declares.
        """
        if answered.status not in self._known:
            self._known[answered.status] = self._prepared(answered.status)
        headers, content = self._known[answered.status]
        if headers is None:
            # Errors may come from anywhere, and what a condition or range leads to, from Flask.
            if self._responses and answered.status < 400 and answered.status not in (206, 304):
                raise NonConformingResponse(detail=f"The answer's status, {answered.status}, isn't declared.")
            return
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in answered.fields}
        self._check_fields(headers, fields)
        if content and answered.status not in (204, 304):
            self._check_body(content, answered, fields.get("content-type"), method)

    def _prepared(self, status: int) -> tuple[Any, Any]:
        declared = declared_for(self._responses, status)
        if declared is None:
            return None, None
        compiled, headers = self._compiled, []
        for name, reference in declared.get("headers", {}).items():
            header = follow(compiled.contract, reference)
            schema = header.get("schema", {})
            style = Style(name, "simple", header.get("explode", False), schema, compiled.types)
            if name.lower() != "content-type":
                validator = compiled.schemas.of_answers(schema)
                headers.append((name.lower(), header.get("required", False), style, validator))
        content = [
            (media_type, Content.of(media_type.essence, follow(compiled.contract, each)))
            for media_type, each in ((MediaType.of(name), each) for name, each in declared.get("content", {}).items())
        ]
        return headers, [(name, (each, compiled.schemas.of_answers(each.schema))) for name, each in content]

    def _check_fields(self, headers: Any, fields: Mapping[str, str]) -> None:
        for name, required, style, validator in headers:
            if name not in fields:
                if required:
                    raise NonConformingResponseHeaders(detail=f"The answer lacks the header field {name!r}.")
                continue
            texts = style.of_text(fields[name])
            values = list(style.types.values(texts, style.schema)) if isinstance(texts, str) else [texts]
            if not any(map(validator.is_valid, values)):
                said = validator.faults(values[0])[0].detail
                raise NonConformingResponseHeaders(detail=f"The answer's header field {name!r}: {said}.")

    def _check_body(self, content: Any, answered: Answer, sent: str | None, method: str) -> None:
        media_type = MediaType.of(sent) if sent else None
        found = best(media_type, content) if media_type else None
        if media_type is None or found is None:
            declared = ", ".join(each.essence for each, _ in content)
            raise NonConformingResponseHeaders(detail=f"The answer's Content-Type is {sent!r}, and not {declared}.")
        expected, validator = found
        is_json = media_type.is_json or expected.separator is not None
        if answered.parts is not None or method == "HEAD" or not (is_json or media_type.is_text):
            return
        try:
            text = answered.body.decode(media_type.charset)
            value = expected.value(text) if is_json else text
        except (ValueError, LookupError, RecursionError) as error:
            raise NonConformingResponseBody(detail=f"The answer's body is no {media_type.essence}.") from error
        faults = validator.faults(value)
        if faults:
            place = "" if faults[0].pointer == "#" else f", {faults[0].pointer}"
            raise NonConformingResponseBody(
                detail=f"Response body does not conform to specification{place}: {faults[0].detail}."
            )
