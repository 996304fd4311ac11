"""Codes and titles of problems stay as they are, whatever Python the server runs on."""

import pytest

from resource_server.serving.problems import problem
from resource_server.tokens.statuses import TITLES, code, title


@pytest.mark.parametrize(
    ("status", "called", "named"),
    [
        (404, "Not Found", "not_found"),
        (413, "Content Too Large", "request_entity_too_large"),
        (414, "URI Too Long", "request_uri_too_long"),
        (416, "Range Not Satisfiable", "requested_range_not_satisfiable"),
        (418, "I'm a Teapot", "im_a_teapot"),
        (422, "Unprocessable Content", "unprocessable_entity"),
        (500, "Internal Server Error", "internal_server_error"),
        (599, "Error", "http_599"),
    ],
)
def test_problem_is_called_by_its_status(status: int, called: str, named: str) -> None:
    document = problem(status)
    assert (document["title"], document["code"]) == (title(status), code(status)) == (called, named)


def test_no_two_statuses_have_the_same_code() -> None:
    assert len({code(status) for status in TITLES}) == len(TITLES)
