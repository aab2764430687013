"""The architecture file of the package and the operator's own; what is in them is wire/architecture_file's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from headrace.domain.architecture import Architecture, ArchitectureBook
from headrace.drivers.catalogs.files import SHIPPED, read_file
from headrace.drivers.catalogs.proposals import replace_file
from headrace.wire.architecture_file import ArchitectureText, architecture_book, architecture_text
from headrace.wire.toml_text import without_table

FILE_NAME = "architectures.toml"
LARGEST_BYTES = 1024 * 1024
HEADING = "# Sizes of models of this installation; `headrace models add` writes here: docs/fit.md.\n"


def shipped_architectures() -> ArchitectureText:
    """Return the file that ships in the package."""
    data = resources.files("headrace.catalog").joinpath(FILE_NAME).read_bytes()
    return ArchitectureText(f"{SHIPPED}/{FILE_NAME}", data)


class ArchitectureFiles:
    """The shipped file and the operator's, which need not exist; both are read anew each time."""

    def __init__(self, own: Path | None) -> None:
        self._own = own

    def read(self) -> ArchitectureBook:
        """Return what both say; raises ConfigInvalid for a file that cannot be read or is wrong."""
        return architecture_book((shipped_architectures(), *self._operators()))

    def _operators(self) -> tuple[ArchitectureText, ...]:
        if self._own is None or not self._own.exists():
            return ()
        text = read_file(self._own, LARGEST_BYTES)
        return (ArchitectureText(text.file, text.data),)


def add_architecture(own: Path, architecture: Architecture) -> None:
    """Write an architecture below those of the operator's file; it goes before them. Raises ConfigInvalid."""
    old = read_file(own, LARGEST_BYTES).data.decode("utf-8", "replace") if own.exists() else HEADING
    new = f"{old.rstrip()}\n\n{architecture_text(architecture)}\n"
    architecture_book((ArchitectureText(str(own), new.encode()),))
    replace_file(own, new)


def remove_architecture(own: Path, model_id: str) -> None:
    """Take the architecture that is this model's alone out of the operator's file, if it is there."""
    if not own.exists():
        return
    text = read_file(own, LARGEST_BYTES).data.decode("utf-8", "replace")
    rest = without_table(text, "architectures", lambda table: table.get("models") == [model_id])
    if rest is not None:
        replace_file(own, rest)
