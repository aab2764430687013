"""The port to what is known of models' sizes; the form of the file is wire/architecture_file's."""

from __future__ import annotations

from typing import Protocol

from headrace.domain.architecture import ArchitectureBook


class Architectures(Protocol):
    """The shipped architectures and the operator's own."""

    def read(self) -> ArchitectureBook:
        """Return all of them as they are written now; blocks, so call it off the loop; raises ConfigInvalid."""
        ...
