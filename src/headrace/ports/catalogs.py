"""The ports to files of the operator: the catalog's, and the aliases of the configuration file."""

from __future__ import annotations

from typing import Protocol

from headrace.domain.alias import WrittenAlias
from headrace.wire.catalog_file import CatalogText


class CatalogSource(Protocol):
    """The shipped catalog files and the operator's own."""

    def read(self) -> tuple[CatalogText, ...]:
        """Return all files, shipped ones first; blocks, so call it off the loop; raises ConfigInvalid."""
        ...

    def digest(self) -> str:
        """Return a text that changes when a file is added, removed or written; cheap enough to poll."""
        ...


class WrittenAliases(Protocol):
    """The aliases that stand in the configuration file."""

    def read(self) -> tuple[WrittenAlias, ...]:
        """Return them as they stand there now; blocks, so call it off the loop; raises ConfigInvalid."""
        ...

    def digest(self) -> str:
        """Return a text that changes when the file is written; cheap enough to poll."""
        ...
