"""Models at a path of this machine: looked at, hashed, taken into the store of weights by a link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import ConfigInvalid
from headrace.drivers.weights.file_source import link, sha256_of
from headrace.drivers.weights.store import verified_place
from headrace.ports.fleet import Progress
from headrace.ports.model_files import FoundModel
from headrace.wire.gguf_header import read_gguf
from headrace.wire.model_folder import CONFIG, MOST_CONFIG_BYTES, read_folder

TOKENIZER = "tokenizer_config.json"
MOST_FILES = 10_000
BUFFER_BYTES = 1 << 20


class ModelPaths:
    """Models of this machine, for the store of one home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def look(self, path: Path) -> FoundModel:
        """Return what lies there; raises ConfigInvalid for what is no model or cannot be read."""
        try:
            whole = path.expanduser().resolve(strict=True)
            return self._folder(whole) if whole.is_dir() else self._file(whole)
        except OSError as error:
            raise ConfigInvalid(
                f"{path}: cannot be read ({error.strerror}). Name a .gguf file, or a folder of safetensors.",
                code="model_unreadable",
            ) from error

    def sha256(self, path: Path, watch: Callable[[Progress], None]) -> str:
        """Return the hash of a file; raises ConfigInvalid."""
        try:
            total = path.stat().st_size
            return sha256_of(path, lambda done: watch(Progress(path.name, done, total, "bytes")))
        except OSError as error:
            raise ConfigInvalid(f"{path}: cannot be read ({error.strerror}).", code="model_unreadable") from error

    def keep(self, file: WeightsFile, path: Path) -> None:
        """Link the store's place of the file to where it lies; raises HomeUnusable."""
        link(path, verified_place(self._home, file.sha256))

    def _file(self, path: Path) -> FoundModel:
        size = path.stat().st_size
        with path.open("rb", buffering=BUFFER_BYTES) as stream:
            return FoundModel(path, size, read_gguf(stream, size, str(path)))

    def _folder(self, path: Path) -> FoundModel:
        sizes = {each.name: each.stat().st_size for each, _ in zip(path.iterdir(), range(MOST_FILES), strict=False)}
        config = _text(path / CONFIG) if CONFIG in sizes else b"{}"
        tokenizer = _text(path / TOKENIZER) if TOKENIZER in sizes else b"{}"
        facts = read_folder(str(path), config, sizes, tokenizer)
        return FoundModel(path, facts.weight_bytes, facts)


def _text(path: Path) -> bytes:
    with path.open("rb") as content:
        return content.read(MOST_CONFIG_BYTES + 1)
