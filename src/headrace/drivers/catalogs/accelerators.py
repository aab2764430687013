"""The accelerator file of the package and the operator's own; what is in them is wire/accelerator_file's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from headrace.domain.accelerator import AcceleratorBook
from headrace.domain.errors import ConfigInvalid
from headrace.wire.accelerator_file import AcceleratorText, accelerator_book

FILE_NAME = "accelerators.toml"
LARGEST_BYTES = 1024 * 1024


def shipped_accelerators() -> AcceleratorText:
    """Return the file that ships in the package."""
    data = resources.files("headrace.catalog").joinpath(FILE_NAME).read_bytes()
    return AcceleratorText(f"shipped/{FILE_NAME}", data)


class AcceleratorFiles:
    """The shipped file and the operator's, which need not exist; both are read anew each time."""

    def __init__(self, own: Path | None) -> None:
        self._own = own

    def read(self) -> AcceleratorBook:
        """Return what both say; raises ConfigInvalid for a file that cannot be read or is wrong."""
        return accelerator_book((shipped_accelerators(), *self._operators()))

    def _operators(self) -> tuple[AcceleratorText, ...]:
        if self._own is None or not self._own.exists():
            return ()
        try:
            with self._own.open("rb") as file:
                data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise ConfigInvalid(
                f"{self._own}: cannot be read ({error.strerror}). Make it readable for the user that runs Headrace."
            ) from error
        if len(data) > LARGEST_BYTES:
            raise ConfigInvalid(f"{self._own}: more than the {LARGEST_BYTES} bytes that it may have.")
        return (AcceleratorText(str(self._own), data),)
