"""Files of tasks and routers from the package and from the operator's folder; what they mean is wire/preset_file's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from headrace.domain.router import Presets
from headrace.drivers.catalogs.files import SHIPPED, read_file
from headrace.wire.preset_file import PresetKind, PresetText, read_presets

LARGEST_BYTES = 1024 * 1024
FOLDERS: Mapping[PresetKind, str] = {"task": "tasks", "router": "routers"}


def shipped_presets() -> tuple[PresetText, ...]:
    """Return the files of tasks and routers that ship in the package, by name."""
    found: list[PresetText] = []
    for kind, name in FOLDERS.items():
        folder = resources.files("headrace.catalog").joinpath(name)
        files = sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
        for file in files:
            shown, slug = f"{SHIPPED}/{name}/{file.name}", file.name.removesuffix(".toml")
            found.append(PresetText(shown, slug, kind, file.read_bytes()))
    return tuple(found)


class PresetFiles:
    """The shipped files, and every `*.toml` in `tasks` and `routers` of the operator's folder, which need not exist."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def texts(self) -> tuple[PresetText, ...]:
        """Return all files, shipped ones first; raises ConfigInvalid for a file that cannot be read."""
        own: list[PresetText] = []
        for kind in FOLDERS:
            files = (read_file(path, LARGEST_BYTES) for path in self._paths(kind))
            own += (PresetText(each.file, each.name, kind, each.data) for each in files)
        return (*shipped_presets(), *own)

    def read(self) -> Presets:
        """Return them as presets; blocks, so call it off the loop; raises ConfigInvalid."""
        return read_presets(self.texts())

    def digest(self) -> str:
        """Return a digest of names, sizes and times of change of the operator's files."""
        seen = hashlib.sha256()
        for path in (path for kind in FOLDERS for path in self._paths(kind)):
            try:
                stat = path.stat()
            except OSError:
                continue
            seen.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode())
        return seen.hexdigest()

    def _paths(self, kind: PresetKind) -> tuple[Path, ...]:
        if self._folder is None:
            return ()
        folder = self._folder / FOLDERS[kind]
        return tuple(sorted(each for each in folder.glob("*.toml") if not each.name.startswith(".")))
