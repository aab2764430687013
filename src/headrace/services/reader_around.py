"""A reader around a reader: what those pass on unchanged that translate an answer, or keep it to a form."""

from __future__ import annotations

from headrace.domain.errors import HeadraceError
from headrace.domain.usage import Usage
from headrace.ports.upstream import Reader


class ReaderAround:
    """Passes everything on but blocks and the end, and puts a failure of its own before the inner reader's."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._failure: HeadraceError | None = None

    @property
    def meaningful(self) -> bool:
        """Whether content was read."""
        return self._inner.meaningful

    @property
    def ended(self) -> bool:
        """Whether the upstream's terminator was read."""
        return self._inner.ended

    @property
    def failure(self) -> HeadraceError | None:
        """What is wrong with the answer so far."""
        return self._failure or self._inner.failure

    @property
    def usage(self) -> Usage | None:
        """The upstream's usage."""
        return self._inner.usage

    @property
    def output_tokens_seen(self) -> int:
        """Content events so far."""
        return self._inner.output_tokens_seen

    def close(self) -> None:
        """Say that the upstream's body has ended."""
        self._inner.close()
