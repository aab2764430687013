"""`headrace doctor`: what is checked of an installation, and what to do about what is wrong."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from headrace import __version__
from headrace.app.adapters import ADAPTERS
from headrace.app.first_start import FILE_NAME
from headrace.app.postgres import postgres_driver
from headrace.domain.doctor import DoctorFinding
from headrace.domain.errors import HeadraceError
from headrace.domain.secret import Secret
from headrace.drivers.ambient import SystemClock, ThreadOffload
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.catalogs.presets import PresetFiles
from headrace.drivers.stores.inspection import StoreReport, inspect_store
from headrace.drivers.stores.moved import give_address
from headrace.drivers.stores.restored import objection_to_ending
from headrace.drivers.stores.sqlite import library_version, wal_reset_safe
from headrace.drivers.weights.store import WeightsStore
from headrace.services.catalog import Catalog, build_catalog, check_catalog
from headrace.wire.preset_file import check_presets

LEAST_FREE_BYTES = 1_000_000_000
EARLIEST_YEAR = 2026
ENGINE_PACKAGE = "xllamacpp"


def examine(home: Path, environment: Mapping[str, str], store: Secret | None) -> Sequence[DoctorFinding]:
    """Return one finding per check; a check that fails itself is a finding too. Changes nothing."""
    checks: tuple[tuple[str, Callable[[], DoctorFinding]], ...] = (
        ("versions", _versions),
        ("clock", _clock),
        ("home", lambda: _home(home)),
        ("store", lambda: _store(home, store)),
        ("catalog", lambda: _catalog(home)),
        ("engine", _engine),
        ("weights", lambda: _weights(home)),
        ("providers", lambda: _providers(home, environment, store)),
    )
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Callable[[], DoctorFinding]) -> DoctorFinding:
    try:
        return check()
    except HeadraceError as error:
        return DoctorFinding(name, False, error.message)
    except OSError as error:
        return DoctorFinding(name, False, str(error))


def _versions() -> DoctorFinding:
    text = f"headrace {__version__}, Python {platform.python_version()}, SQLite {library_version()}"
    if wal_reset_safe():
        return DoctorFinding("versions", True, text)
    fix = "This SQLite can damage a log that two processes write: keep to one Headrace, or install pysqlite3."
    return DoctorFinding("versions", False, text, fix)


def _clock() -> DoctorFinding:
    now = datetime.fromtimestamp(SystemClock().unix_micros() / 1e6, UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    return DoctorFinding(
        "clock", now.year >= EARLIEST_YEAR, text, "" if now.year >= EARLIEST_YEAR else "Set the clock."
    )


def _home(home: Path) -> DoctorFinding:
    if not home.is_dir():
        return DoctorFinding("home", False, f"{home} is not there", "Make it with `headrace init`, or start `serve`.")
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE_BYTES:
        return DoctorFinding("home", False, f"{home} has {free:,} bytes left", "Free some disk space.")
    credentials = home / FILE_NAME
    if not credentials.is_file():
        return DoctorFinding("home", False, f"{credentials} is not there", "Make it with `headrace init`.")
    if stat.S_IMODE(credentials.stat().st_mode) & 0o077:
        return DoctorFinding("home", False, f"others can read {credentials}", f"chmod 600 {credentials}")
    objection = objection_to_ending(home)
    text = f"{home}, {free // 1_000_000_000} GB free"
    return DoctorFinding("home", True, text if objection is None else f"{text}. {objection}")


def _inspect(home: Path, store: Secret | None) -> StoreReport | None:
    return inspect_store(home, SystemClock()) if store is None else postgres_driver().inspect_postgres(store)


def _store(home: Path, store: Secret | None) -> DoctorFinding:
    report = _inspect(home, store)
    if report is None or report.revision is None:
        return DoctorFinding("store", False, "no database yet", "It is made at the first `headrace serve`.")
    if report.moved_to is not None:
        text = f"the books were moved to {report.moved_to}; what is in the home's file is old"
        return DoctorFinding("store", False, text, give_address(report.moved_to))
    if report.problem is not None:
        fix = "Put back a backup: `headrace restore BACKUP --force`." if store is None else "See docs/postgresql.md."
        return DoctorFinding("store", False, report.problem, fix)
    if report.revision != report.known_revision:
        text = f"schema {report.revision}, this version knows {report.known_revision}"
        return DoctorFinding("store", False, text, "`headrace serve` migrates an older one, after a copy.")
    where = f", {report.where}" if report.where else ""
    return DoctorFinding("store", True, f"sound, schema {report.revision}{where}")


def _catalog(home: Path) -> DoctorFinding:
    folder = home / "catalog"
    found = (*check_catalog(CatalogFiles(folder).read(), ADAPTERS), *check_presets(PresetFiles(folder).texts()))
    if found:
        return DoctorFinding("catalog", False, f"{len(found)} things to correct", "See `headrace catalog check`.")
    catalog = _load(home)
    return DoctorFinding("catalog", True, f"{len(catalog.models)} models of {len(catalog.providers)} providers")


def _engine() -> DoctorFinding:
    try:
        version = importlib.metadata.version(ENGINE_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return DoctorFinding("engine", False, f"{ENGINE_PACKAGE} is not installed", "Run `make run` once.")
    return DoctorFinding("engine", True, f"{ENGINE_PACKAGE} {version}")


def _weights(home: Path) -> DoctorFinding:
    clock, offload = SystemClock(), ThreadOffload(1)
    store = WeightsStore(home, (), clock, offload)
    local = [
        model
        for each in _load(home).models.values()
        for model in each
        if model.local is not None and model.local.weights
    ]
    here = sorted(m.id for m in local if m.local and all(store.path(file) is not None for file in m.local.weights))
    offload.close()
    if not here:
        return DoctorFinding("weights", False, "no embedded model is here", "headrace models pull smollm2-135m")
    return DoctorFinding("weights", True, ", ".join(here))


def _providers(home: Path, environment: Mapping[str, str], store: Secret | None) -> DoctorFinding:
    report = _inspect(home, store)
    sealed: frozenset[str] = report.sealed_providers if report is not None else frozenset()
    named: list[str] = []
    for provider in _load(home).providers.values():
        given = provider.key_variable is not None and bool(environment.get(provider.key_variable))
        if provider.needs_credential:
            named.append(f"{provider.name} {'set' if given or provider.name in sealed else 'no key'}")
    fix = "" if not named else "Set one: headrace providers set-key NAME"
    return DoctorFinding("providers", True, ", ".join(sorted(named)) or "none needs a key", fix)


def _load(home: Path) -> Catalog:
    return build_catalog(CatalogFiles(home / "catalog").read(), ADAPTERS)
