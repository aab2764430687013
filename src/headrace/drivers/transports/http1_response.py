"""The receiving side of HTTP/1.1: bytes in, one answer after the other out; does no input or output.

The grammar is llhttp's, strict but for two things that upstreams do and that are harmless towards one server: a bare
line feed as line end, and spaces after a chunk's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httptools

from headrace.domain.errors import HeadraceError, UpstreamProtocol

MAX_LINE_BYTES = 64 * 1024
MAX_SILENT_BYTES = 256 * 1024
FIRST_STATUS, FIRST_FINAL_STATUS = 100, 200


@dataclass(slots=True)
class Answer:
    """One response as far as it has come.

    Shapes: `fields` are the first values of the headers by name in lower case; `blocks` is the unread body. `failure`
    is why no more will come; `is_followed` says that bytes came behind the end.
    """

    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    blocks: list[bytes] = field(default_factory=list[bytes])
    unread_bytes: int = 0
    has_head: bool = False
    is_complete: bool = False
    keeps_alive: bool = False
    is_followed: bool = False
    failure: HeadraceError | None = None

    def take(self) -> bytes:
        """Return the unread body as one block."""
        blocks = self.blocks
        block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        blocks.clear()
        self.unread_bytes = 0
        return block


class Fields(Mapping[str, str]):
    """Headers by name in any case; of repeated ones the first."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower().encode()].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class ResponseParser:
    """Reads the answers of one connection; `answer` is the one that is under way."""

    def __init__(self) -> None:
        self.answer = Answer()
        self._silent_bytes = 0
        self._line_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)

    @property
    def has_begun(self) -> bool:
        """Whether a byte of this answer has come."""
        return self.answer.has_head or self._silent_bytes > 0

    def begin(self) -> Answer:
        """Expect the next answer and return it, empty."""
        self._silent_bytes = 0
        self.answer = Answer()
        return self.answer

    def feed(self, data: bytes) -> None:
        """Take bytes in pieces of any size; raises UpstreamProtocol, with what came before kept."""
        answer = self.answer
        if answer.is_complete:
            answer.is_followed = True
            return
        blocks_before = len(answer.blocks)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not answer.is_complete:
                raise _invalid(f"{error!r} after {error.__context__!r}") from error
            answer.is_followed = True
        if answer.is_complete:
            return
        if len(answer.blocks) > blocks_before:
            self._silent_bytes = 0
            return
        self._silent_bytes += len(data)
        if self._silent_bytes > MAX_SILENT_BYTES:
            raise _invalid(f"more than {MAX_SILENT_BYTES} bytes of head, trailers or chunk extensions")

    def end(self) -> None:
        """Say that the upstream has closed: this ends a body that has no other end."""
        answer, names = self.answer, self.answer.fields
        if answer.has_head and b"content-length" not in names and b"transfer-encoding" not in names:
            answer.is_complete = True

    def on_message_begin(self) -> None:
        """Refuse a second message where one was asked for (called by the parser)."""
        if self.answer.is_complete:
            raise _invalid("bytes behind the end")
        self._line_bytes = 0

    def on_status(self, reason: bytes) -> None:
        """Limit the status line (called by the parser)."""
        self._line_bytes += len(reason)
        if self._line_bytes > MAX_LINE_BYTES:
            raise _invalid(f"a status line of more than {MAX_LINE_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, drop a trailer (called by the parser)."""
        if len(name) + len(value) > MAX_LINE_BYTES:
            raise _invalid(f"a header of more than {MAX_LINE_BYTES} bytes")
        if not self.answer.has_head:
            self.answer.fields.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        """Take the status unless it only announces another answer (called by the parser)."""
        status = self._parser.get_status_code()
        if status < FIRST_STATUS:
            raise _invalid(f"the status {status}")
        if status >= FIRST_FINAL_STATUS:
            self.answer.status = status
            self.answer.has_head = True

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body (called by the parser)."""
        answer = self.answer
        answer.blocks.append(data)
        answer.unread_bytes += len(data)

    def on_message_complete(self) -> None:
        """End the answer, or skip what only announced it (called by the parser)."""
        answer = self.answer
        if answer.has_head:
            answer.is_complete = True
            answer.keeps_alive = self._parser.should_keep_alive()
        else:
            answer.fields.clear()


def _invalid(detail: str) -> UpstreamProtocol:
    return UpstreamProtocol("The upstream's answer is not valid HTTP.", detail=detail)
