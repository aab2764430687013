"""`models add` and `models remove` on this machine: what is written of a path, and taken out again.

The rules are a service's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.app.adapters import ADAPTERS, CHAT_ENGINE
from headrace.domain.finding import config_invalid
from headrace.drivers.catalogs.architectures import FILE_NAME as ARCHITECTURES
from headrace.drivers.catalogs.architectures import ArchitectureFiles, add_architecture, remove_architecture
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.catalogs.proposals import replace_file
from headrace.drivers.weights.model_path import ModelPaths
from headrace.ports.ambient import Clock
from headrace.ports.catalogs import CatalogSource
from headrace.ports.fleet import Progress
from headrace.services.catalog import build_catalog, check_catalog
from headrace.services.model_adding import (
    FILE_NAME,
    PROVIDER,
    AddEngines,
    Addition,
    AddWishes,
    addition,
    catalog_text,
    without_model,
)
from headrace.wire.catalog_file import CatalogText
from headrace.wire.iso_time import iso_time

CATALOG = "catalog"


@dataclass(frozen=True, slots=True)
class AddedModels:
    """Models that were added to the catalogue of one home; `catalog` returns what a folder's files are read with."""

    home: Path
    clock: Clock
    catalog: Callable[[Path], CatalogSource] = CatalogFiles

    def look(self, path: Path, wishes: AddWishes) -> Addition:
        """Return the model that a path would become; writes nothing. Raises ConfigInvalid."""
        texts = self.catalog(self.home / CATALOG).read()
        folder = ArchitectureFiles(self.home / ARCHITECTURES).read().folder_engine
        catalog = build_catalog(texts, ADAPTERS)
        return addition(ModelPaths(self.home).look(path), wishes, self._day(), AddEngines(CHAT_ENGINE, folder), catalog)

    def add(self, added: Addition, watch: Callable[[Progress], None]) -> Path:
        """Hash, link and write the model, the catalogue last; returns its file. Raises ConfigInvalid, HomeUnusable."""
        files = ModelPaths(self.home)
        sha256 = None if added.is_folder else files.sha256(added.found.path, watch)
        path = self.home / CATALOG / FILE_NAME
        texts = self.catalog(self.home / CATALOG).read()
        own = next((each for each in texts if each.file == str(path)), None)
        text = catalog_text(None if own is None else own.data.decode("utf-8"), added, self._day(), sha256)
        self._check(texts, own, text)
        add_architecture(self.home / ARCHITECTURES, added.architecture)
        if sha256 is not None:
            files.keep(added.weights(sha256), added.found.path)
        replace_file(path, text)
        return path

    def forget(self, model_id: str) -> Path | None:
        """Take a model that was added out of catalogue and sizes; returns the file, None where it is not written there.

        Raises ConfigInvalid where its tables cannot be told from the rest of the file, or the rest is wrong without it.
        """
        path = self.home / CATALOG / FILE_NAME
        texts = self.catalog(self.home / CATALOG).read()
        own = next((each for each in texts if each.file == str(path)), None)
        if own is None or model_id not in build_catalog((own,), ADAPTERS).models:
            return None
        text = without_model(own.data.decode("utf-8"), model_id, str(path))
        self._check(texts, own, text)
        replace_file(path, text)
        remove_architecture(self.home / ARCHITECTURES, model_id)
        return path

    def _check(self, texts: Sequence[CatalogText], own: CatalogText | None, text: str) -> None:
        changed = CatalogText(str(self.home / CATALOG / FILE_NAME), PROVIDER, "operator", text.encode())
        findings = check_catalog((*(each for each in texts if each is not own), changed), ADAPTERS)
        if findings:
            raise config_invalid(findings)

    def _day(self) -> str:
        return iso_time(self.clock.unix_micros())[:10]
