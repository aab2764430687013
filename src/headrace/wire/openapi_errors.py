"""Shapes of error replies in the published description, one for each form; writing errors is errors'.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.wire.error_codes import STATUSES

Code = Annotated[
    str,
    Meta(
        description="A stable code; where a provider refused the request and gave a code of its own, that one.",
        extra_json_schema={"examples": sorted(STATUSES)},
    ),
]
OF_CONNECTION_ONLY = frozenset({408, 431})
OWN_ENDPOINT = "/dedicated/{deployment}"
OF_CONNECTION_TOO = frozenset({400, 503})
OwnCode = Annotated[str, Meta(description="A stable code.", extra_json_schema={"enum": sorted(STATUSES)})]


class DataErrorBody(Struct, kw_only=True):
    """What was wrong and how to fix it; decide by `code`, never by `message`."""

    message: str
    type: str
    param: str | None
    code: Code | None
    request_id: str


class DataError(Struct, kw_only=True):
    """An error of the data plane, in OpenAI's form."""

    error: DataErrorBody


class MessagesErrorBody(Struct, kw_only=True):
    """What was wrong and how to fix it; decide by `code`, never by `message`."""

    type: str
    message: str
    code: Code
    param: str | UnsetType = UNSET


class MessagesError(Struct, kw_only=True):
    """An error for callers of Messages, in Anthropic's form."""

    type: Literal["error"]
    error: MessagesErrorBody
    request_id: str


class ControlError(Struct, kw_only=True):
    """An error of the control plane; decide by `id`, never by `message`."""

    id: OwnCode
    message: str
    request_id: str
    param: str | UnsetType = UNSET


def error_shapes(path: str, status: int) -> tuple[Any, ...]:
    """Return the forms in which a route tells of an error; the connection itself tells of its own in one form."""
    if status in OF_CONNECTION_ONLY:
        return (DataError,)
    shapes = _route_shapes(path)
    return (*shapes, DataError) if status in OF_CONNECTION_TOO and DataError not in shapes else shapes


def _route_shapes(path: str) -> tuple[Any, ...]:
    path = path.removeprefix(OWN_ENDPOINT)
    if path.startswith("/v1/messages"):
        return (MessagesError,)
    if path.startswith("/v1/models"):
        return (DataError, MessagesError)
    return (DataError,) if path.startswith("/v1/") else (ControlError,)
