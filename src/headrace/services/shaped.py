"""Answers that must have a form: a reader around a reader, which fails what has not before it is told complete."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Call, Dialect
from headrace.domain.errors import UpstreamNonconforming
from headrace.domain.usage import Usage
from headrace.ports.upstream import Reader
from headrace.services.reader_around import ReaderAround
from headrace.wire.answer_shape import Shape, asked_shape
from headrace.wire.answer_text import answer_text


def shaped(reader: Reader, call: Call, dialect: Dialect) -> Reader:
    """Return a reader that keeps an upstream of this dialect to the form that the call asks for, if it asks for one.

    `call` is what the upstream was asked; the caller's own is judged where this one is a translation.
    """
    shape = asked_shape(call.origin or call)
    return reader if shape is None else ShapedReader(reader, shape, dialect)


class ShapedReader(ReaderAround):
    """Passes everything on; the end of an answer whose text has another form is a failure.

    What was given out of a stream cannot be taken back: there the failure takes the place of the terminator.
    """

    def __init__(self, inner: Reader, shape: Shape, dialect: Dialect) -> None:
        super().__init__(inner)
        self._shape = shape
        self._text = answer_text(dialect)
        self._is_judged = False

    def feed(self, block: bytes) -> bytes:
        """Take a block and return what may leave."""
        self._text.feed(block)
        out = self._inner.feed(block)
        self._judge()
        return out

    def close(self) -> None:
        """Say that the upstream's body has ended."""
        super().close()
        self._judge()

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held-back end of the reply."""
        return self._inner.finish(usage, money)

    def _judge(self) -> None:
        if self._is_judged or not self._inner.ended or self._inner.failure is not None:
            return
        self._is_judged = True
        for text in self._text.texts():
            problem = self._shape.problem(text)
            if problem is not None:
                self._failure = UpstreamNonconforming(
                    f"The model's answer has not the form that was asked for: {problem}. Ask again, or another model."
                )
                return
