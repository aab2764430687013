"""The port to where catalog files lie; what is in them is read by wire/catalog_file."""

from __future__ import annotations

from typing import Protocol

from headrace.wire.catalog_file import CatalogText


class CatalogSource(Protocol):
    """The shipped catalog files and the operator's own."""

    def read(self) -> tuple[CatalogText, ...]:
        """Return all files, shipped ones first; blocks, so call it off the loop; raises ConfigInvalid."""
        ...

    def digest(self) -> str:
        """Return a text that changes when a file is added, removed or written; cheap enough to poll."""
        ...
