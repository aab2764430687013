"""The port to the accelerators with their prices and measurements; the form of the file is wire/accelerator_file's."""

from __future__ import annotations

from typing import Protocol

from headrace.domain.accelerator import AcceleratorBook


class Accelerators(Protocol):
    """The shipped accelerators and the operator's own."""

    def read(self) -> AcceleratorBook:
        """Return all of them as they are written now; blocks, so call it off the loop; raises ConfigInvalid."""
        ...
