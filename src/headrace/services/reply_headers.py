"""The headers by which every reply tells who served it; what it cost is metering's."""

from __future__ import annotations

import re

from headrace.domain.call import Call, Operation
from headrace.domain.plan import Target
from headrace.wire import speech

MAX_DROPPED_CHARS = 1000
_NO_HEADER = re.compile(r"[^ -~]")


def reply_headers(call: Call, target: Target, attempts: int, dropped: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a reply: its type, the model and provider that served, attempts, and dropped fields."""
    content_type = "text/event-stream" if call.envelope.stream else "application/json"
    if call.operation is Operation.SPEECH:
        content_type = speech.content_type(call.body)
    headers = (
        ("content-type", content_type),
        ("x-headrace-model", target.model.id),
        ("x-headrace-provider", target.provider.name),
        ("x-headrace-attempts", str(attempts)),
    )
    if not dropped:
        return headers
    # A field's name is the caller's own text: what no header may hold would break the reply off.
    named = _NO_HEADER.sub("?", ", ".join(dropped)[:MAX_DROPPED_CHARS]).strip()
    return (*headers, ("x-headrace-dropped", named))
