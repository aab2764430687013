"""The port to models that lie on this machine as their makers published them: a file, or a folder of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headrace.domain.catalog import WeightsFile
from headrace.ports.fleet import Progress
from headrace.wire.gguf_header import GgufHeader
from headrace.wire.model_folder import FolderFacts


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What lies at a path, which is absolute; `facts` say of which of both forms it is."""

    path: Path
    size_bytes: int
    facts: GgufHeader | FolderFacts


class ModelFiles(Protocol):
    """Looks at models, and takes files into the store of weights without copying them."""

    def look(self, path: Path) -> FoundModel:
        """Return what lies there; raises ConfigInvalid for what is no model or cannot be read."""
        ...

    def sha256(self, path: Path, watch: Callable[[Progress], None]) -> str:
        """Return the hash of a file; `watch` hears how far it has come. Raises ConfigInvalid."""
        ...

    def keep(self, file: WeightsFile, path: Path) -> None:
        """Make the store find the file where it lies; raises HomeUnusable."""
        ...
