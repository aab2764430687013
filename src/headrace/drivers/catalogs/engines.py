"""Engine files of the package and of the operator's folder; what is in them is wire/engine_file's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from headrace.domain.engine_command import EngineCommand
from headrace.drivers.catalogs.files import SHIPPED, read_file
from headrace.wire.engine_file import EngineText, read_engines

FOLDER = "engines"
LARGEST_BYTES = 1024 * 1024


def shipped_engines() -> tuple[EngineText, ...]:
    """Return the engine files that ship in the package, by name."""
    folder = resources.files("headrace.catalog").joinpath(FOLDER)
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
    return tuple(
        EngineText(f"{SHIPPED}/{FOLDER}/{each.name}", each.name.removesuffix(".toml"), each.read_bytes())
        for each in files
    )


class EngineFiles:
    """The shipped files, and every `*.toml` in `engines` of the operator's folder, which need not exist."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def texts(self) -> tuple[EngineText, ...]:
        """Return all files, shipped ones first; raises ConfigInvalid for a file that cannot be read."""
        folder = self._folder / FOLDER if self._folder is not None else None
        own = sorted(each for each in folder.glob("*.toml") if not each.name.startswith(".")) if folder else ()
        read = (read_file(path, LARGEST_BYTES) for path in own)
        return (*shipped_engines(), *(EngineText(each.file, each.name, each.data) for each in read))

    def read(self) -> tuple[EngineCommand, ...]:
        """Return the engines by name; blocks, so call it off the loop; raises ConfigInvalid."""
        return read_engines(self.texts())
