"""Rendering errors; the bodies themselves are golden files."""

import json

import pytest

from headrace.domain.errors import HeadraceError, InternalError, InvalidRequest, NotFound
from headrace.wire.errors import (
    as_headrace_error,
    control_error_body,
    openai_error,
    openai_error_body,
    openai_error_frame,
)

ERROR = NotFound("No such thing.", code="x_not_found", param="x", detail="private", extra={"n": 1})


def test_the_private_detail_is_never_rendered() -> None:
    for rendered in (
        openai_error_body(ERROR, "req_1"),
        openai_error_frame(ERROR, "req_1"),
        control_error_body(ERROR, "req_1"),
    ):
        assert b"private" not in rendered
        assert b"req_1" in rendered


def test_an_event_tells_the_same_as_a_body_and_ends_nothing() -> None:
    frame = openai_error_frame(ERROR, "req_1")
    assert frame == b"data: " + openai_error_body(ERROR, "req_1") + b"\n\n"
    assert json.loads(frame[6:]) == openai_error(ERROR, "req_1")


def test_an_error_of_ours_stays_itself() -> None:
    assert as_headrace_error(ERROR) is ERROR


@pytest.mark.parametrize("error", [ValueError("secret path"), KeyError("secret"), OSError(5, "secret")])
def test_a_foreign_error_is_hidden(error: Exception) -> None:
    hidden: HeadraceError = as_headrace_error(error)
    assert isinstance(hidden, InternalError)
    assert "secret" not in hidden.message
    assert hidden.detail is not None
    assert "secret" in hidden.detail


def test_a_control_error_has_no_param_where_there_is_none() -> None:
    assert json.loads(control_error_body(InvalidRequest("x"), "req_1")) == {
        "id": "invalid_request",
        "message": "x",
        "request_id": "req_1",
    }
