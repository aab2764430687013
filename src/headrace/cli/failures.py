"""Shows a failure on the terminal: one line with what was wrong, indented lines with what to do."""

from __future__ import annotations

import re

from headrace.domain.errors import HeadraceError, OperatorError, Scalar
from headrace.domain.json_value import JsonObject

CALLER_STATUS, INTERRUPTED_STATUS, BROKEN_PIPE_STATUS = 1, 130, 141
FIRST_CALLERS, FIRST_SERVERS = 400, 500
_SENTENCE_END = re.compile(r"(?<=[.!?])[ \n]+(?=[A-Z`\"])")


def render_failure(error: HeadraceError) -> str:
    """Return the text for people: what was wrong, then what to do."""
    lines = error.message.strip().splitlines() or ["it failed without saying why"]
    rest = lines[1:]
    parts = _SENTENCE_END.split(lines[0], maxsplit=1)
    if len(parts) > 1:
        rest = [parts[1], *rest]
    request_id = error.extra.get("request_id")
    if isinstance(request_id, str) and not _is_callers(error.extra.get("status")):
        rest.append(f"The server's log has more under {request_id}.")
    return "\n".join([f"headrace: {parts[0]}", *(f"  {line.strip()}" for line in rest if line.strip())])


def _is_callers(status: Scalar) -> bool:
    """Whether the server said that its caller is at fault; an error inside a stream has no status."""
    return isinstance(status, int) and FIRST_CALLERS <= status < FIRST_SERVERS


def failure_object(error: HeadraceError) -> JsonObject:
    """Return the failure for machines."""
    inner: JsonObject = {"code": error.code, "message": error.message}
    if error.param is not None:
        inner["param"] = error.param
    inner.update(error.extra)
    return {"error": inner}


def exit_status(error: HeadraceError) -> int:
    """Return the exit status of a failed command."""
    return error.exit_status if isinstance(error, OperatorError) else CALLER_STATUS
