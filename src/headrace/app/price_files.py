"""The price verbs on this machine: comparing a file with the catalog, proposing its prices, applying a proposal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.app.adapters import ADAPTERS
from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import config_invalid
from headrace.domain.names import did_you_mean
from headrace.drivers.catalogs.files import CatalogFiles, read_file
from headrace.drivers.catalogs.proposals import replace_file, write_proposals
from headrace.ports.ambient import Clock
from headrace.services.catalog import build_catalog, check_catalog
from headrace.services.price_proposals import Comparison, check_new, compare, proposal_texts, with_prices
from headrace.wire.catalog_file import CatalogFile, CatalogText, read_catalog_file
from headrace.wire.iso_time import iso_time
from headrace.wire.price_sources import Format, catalog_of, read_source

LARGEST_LIST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PriceFiles:
    """An operator's catalog folder, and the clock that says which prices are in force."""

    folder: Path
    clock: Clock

    def compare(self, file: Path, form: Format, provider: str | None = None) -> Comparison:
        """Return what a file's prices would change; nothing is written.

        `provider` is whose list it is, in the format that does not say it. Raises ConfigInvalid.
        """
        day = self._day()
        catalog = build_catalog(CatalogFiles(self.folder).read(), ADAPTERS)
        if provider is not None and provider not in catalog.providers:
            hint = did_you_mean(provider, list(catalog.providers))
            raise ConfigInvalid(f'No provider is named "{provider}". {hint} `headrace providers list` shows them.')
        offered = read_source(str(file), read_file(file, LARGEST_LIST_BYTES).data, form, day, provider)
        whose = form if provider is None else f"{form} {provider}"
        return compare(catalog, offered, day, f"{whose}, {file.name}, read {day}")

    def propose(self, file: Path, form: Format, provider: str | None = None) -> tuple[Comparison, tuple[Path, ...]]:
        """Write what a file's prices would change as proposals, one for each provider; none is in force."""
        found = self.compare(file, form, provider)
        return found, write_proposals(self.folder, self._day(), proposal_texts(found))

    def apply(self, proposal: Path) -> Path:
        """Add a proposal's prices to the operator's file of its provider, and take the proposal away.

        Raises ConfigInvalid, with nothing changed, when a price is not new or the file would not be right.
        """
        new = catalog_of(str(proposal), read_file(proposal).data)
        texts = CatalogFiles(self.folder).read()
        check_new(new, build_catalog(texts, ADAPTERS))
        path = self.folder / f"{new.tables.provider.name}.toml"
        own = next((each for each in texts if each.origin == "operator" and each.name == path.stem), None)
        parsed = None if own is None else read_catalog_file(own)
        text = with_prices(
            None if own is None else own.data.decode("utf-8"), new, parsed if isinstance(parsed, CatalogFile) else None
        )
        changed = CatalogText(str(path), path.stem, "operator", text.encode())
        findings = check_catalog((*(each for each in texts if each is not own), changed), ADAPTERS)
        if findings:
            raise config_invalid(findings)
        replace_file(path, text)
        proposal.unlink()
        return path

    def _day(self) -> str:
        return iso_time(self.clock.unix_micros())[:10]
