"""Prints a document with its tables made anew from the code: `python -m tools.doc_tables docs/NAME.md`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; everything else in the document is written by hand.
"""

import dataclasses
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from cyclopts import Parameter

from headrace.cli.config import ServerTable
from headrace.cli.environment import VARIABLES
from headrace.cli.options import ClientFlags, HomeFlags, ServeFlags
from headrace.domain.catalog import Model, Provider
from headrace.domain.money import format_usd_per_mtok
from headrace.domain.usage import TokenClass, Usage
from headrace.drivers.catalogs.files import shipped_files
from headrace.drivers.observability.gauges import GaugeSources
from headrace.drivers.observability.prometheus_observer import PrometheusObserver
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.catalog import build_catalog
from tools.preset_tables import router_rows, task_rows

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
HELP_NOTES = re.compile(r" \[HEADRACE_[^\]]*\]| \((?P<default>[^()]*)\)(?=\.)")
SAMPLE = re.compile(r"^(headrace_[a-z_]+?)(?:_bucket|_count|_sum)?\{([^}]*)\}")
SERVER_KEYS: Mapping[str, str] = {
    "allowed_host": "allowed_hosts",
    "cors_origin": "cors_origins",
    "webhook_host": "webhook_hosts",
}
TODAY = "9999-12-31"


def flags() -> str:
    """Return the flags of `headrace serve` with variable, key in the file, default and meaning."""
    return _flag_table(ServeFlags, with_file=True)


def client_flags() -> str:
    """Return the flags of the verbs that ask a server."""
    return _flag_table(ClientFlags, with_file=False)


def metrics() -> str:
    """Return every metric of our own with kind, labels and meaning."""
    text = _rendered_metrics()
    helps = dict(re.findall(r"^# HELP (headrace_\S+) (.+)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (headrace_\S+) (\S+)$", text, re.MULTILINE))
    labels: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = SAMPLE.match(line)
        if found is not None:
            names = [name for name in re.findall(r"(\w+)=", found[2]) if name != "le"]
            labels.setdefault(found[1], names)
    rows = [(f"`{name}`", kinds[name], ", ".join(labels.get(name, [])), helps[name]) for name in helps]
    return _table(("metric", "kind", "labels", "means"), (row for row in rows if not row[0].endswith("_created`")))


def providers() -> str:
    """Return every shipped provider with address, key variable, number of models and documents."""
    catalog = build_catalog(shipped_files())
    models = [each for entries in catalog.models.values() for each in entries]
    rows = (_provider_row(each, models) for _, each in sorted(catalog.providers.items()))
    return _table(("provider", "base URL", "key from the environment", "models shipped", "documents"), rows)


def embedded_models() -> str:
    """Return every model that runs on this machine with download, memory, licence and prices."""
    catalog = build_catalog(shipped_files())
    local = [each for entries in catalog.models.values() for each in entries if each.local is not None]
    rows = [_embedded_row(each) for each in local]
    header = ("model", "kind", "download", "memory", "context", "licence", "price in / cached / out, $ per million")
    return _table(header, sorted(rows, key=lambda row: float(row[3].split()[0].replace(",", ""))))


def weights() -> str:
    """Return every file of weights with its size and its sha256."""
    catalog = build_catalog(shipped_files())
    files = {
        file.name: file
        for entries in catalog.models.values()
        for each in entries
        if each.local is not None
        for file in each.local.weights
    }
    rows = ((f"`{file.name}`", f"{file.size_bytes:,}", f"`{file.sha256}`") for _, file in sorted(files.items()))
    return _table(("file", "bytes", "sha256"), rows)


def preset_tasks() -> str:
    """Return every shipped task with category, description, order and pool."""
    return _table(("task", "category", "what the request is", "order", "proposed pool"), task_rows())


def preset_routers() -> str:
    """Return every shipped router with its tasks and fallback models."""
    return _table(("model to call", "tasks", "fallback models"), router_rows())


TABLES: Mapping[str, Callable[[], str]] = {
    "flags": flags,
    "client-flags": client_flags,
    "metrics": metrics,
    "providers": providers,
    "embedded-models": embedded_models,
    "weights": weights,
    "preset-tasks": preset_tasks,
    "preset-routers": preset_routers,
}


def renewed(text: str) -> str:
    """Return the document with every marked table made anew; raises KeyError for a table that nobody makes."""
    return PLACE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def _flag_table(kind: type[ServeFlags | ClientFlags | HomeFlags], *, with_file: bool) -> str:
    rows: list[tuple[str, ...]] = []
    known = set(ServerTable.__struct_fields__)
    for field in dataclasses.fields(kind):
        text = _help_of(kind, field.name)
        default = next((found["default"] for found in HELP_NOTES.finditer(text) if found["default"]), "")
        key = SERVER_KEYS.get(field.name, field.name)
        row = (f"`--{field.name.replace('_', '-')}`", f"`{VARIABLES[field.name]}`")
        row += (f"`{key}`" if key in known else "",) if with_file else ()
        rows.append((*row, default, HELP_NOTES.sub("", text)))
    middle = ("in `[server]`",) if with_file else ()
    return _table(("flag", "variable", *middle, "default", "means"), rows)


def _help_of(kind: type[Any], name: str) -> str:
    hints = get_type_hints(kind, include_extras=True)
    found: list[Parameter] = [each for each in hints[name].__metadata__ if isinstance(each, Parameter)]
    return str(found[0].help)


def _provider_row(provider: Provider, models: Sequence[Model]) -> tuple[str, ...]:
    served = sum(each.provider == provider.name for each in models)
    variable = f"`{provider.key_variable}`" if provider.key_variable else "no key needed"
    return (f"`{provider.name}`", f"`{provider.base_url}`", variable, str(served), f"<{provider.docs_url}>")


def _embedded_row(model: Model) -> tuple[str, ...]:
    local, price = model.local, model.price_on(TODAY)
    if local is None or price is None:
        raise AssertionError(f"{model.id} is not an embedded model with a price")
    rates = [TokenClass.INPUT_FRESH, TokenClass.INPUT_CACHE_READ, TokenClass.OUTPUT_TEXT]
    shown = [format_usd_per_mtok(price.rates_pico[each]) if each in price.rates_pico else "-" for each in rates]
    return (
        f"`{model.id}`",
        model.kind.value,
        f"{sum(each.size_bytes for each in local.weights) // 1_000_000} MB",
        f"{local.memory_bytes // 1024**2:,} MiB",
        f"{model.context_length:,}",
        ", ".join(sorted({each.licence for each in local.weights})),
        " / ".join(shown),
    )


def _rendered_metrics() -> str:
    observer = PrometheusObserver(
        GaugeSources(
            ledger_commits=lambda: 0,
            ledger_synchronous=lambda: "full",
            ledger_queue_depth=lambda: 0,
            replicas_by_state=lambda: {"ready": 1},
            loop_lag_seconds=lambda: 0.0,
            requests_in_flight=lambda: 0,
            targets_by_breaker=lambda: {"closed": 1},
            retries_denied=lambda: 0,
            limits_refused=lambda: {("key", "requests_per_minute"): 0},
            credentials=lambda: [("provider", "default", "ok")],
            cache_outcomes=lambda: {"hit": 0},
            router_sessions=lambda: 0,
            switch_verdicts=lambda: {"free": 0},
        )
    )
    observer.request_ended(RequestEnd("req", "GET", "/healthz", 200, 0.1))
    observer.attempt_ended(
        AttemptEnd("req", "att", "chat", "model", "provider", "complete", None, 0.1, 0.2, Usage(input_fresh=1), 1, 1)
    )
    return observer.render()[1].decode()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(renewed((ROOT / sys.argv[1]).read_text()))
