"""The handlers of a contract with every kind of input, as somebody would write them."""

import itertools
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException

Note = dict[str, Any]

NOTES: dict[str, Note] = {}


def find(limit: int, order: str, x_trace: str | None = None) -> tuple[list[Note], int, dict[str, str]]:
    notes = list(NOTES.values())
    found = list(itertools.islice(notes if order == "oldest" else reversed(notes), limit))
    return found, 200, {"X-Trace": x_trace} if x_trace else {}


def add(body: Note) -> tuple[Note, int, dict[str, str]]:
    note_id = str(uuid4())
    NOTES[note_id] = {"id": note_id, **body}
    return NOTES[note_id], 201, {"Location": f"/v1/notes/{note_id}"}


def get(note_id: str) -> Note:
    if note_id not in NOTES:
        raise HTTPException(404, "There is no such note.")
    return NOTES[note_id]


def replace(note_id: str, body: Note) -> Note:
    get(note_id)
    NOTES[note_id] = {"id": note_id, **body}
    return NOTES[note_id]


def remove(note_id: str) -> None:
    get(note_id)
    del NOTES[note_id]


def status() -> dict[str, str]:
    return {"status": "fine"}
