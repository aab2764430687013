"""Results of foreign clients as a page: which cell is served, which is refused as listed; runs nothing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
REFUSALS = HERE / "refusals.toml"
PAGE = HERE.parent.parent / "docs" / "compatibility.md"
UPSTREAMS = ("embedded", "chat", "responses", "messages")
NO_UPSTREAM = "none"


@dataclass(frozen=True)
class Cell:
    """What became of one feature of one client on one upstream: `served`, `refused`, `not asked` or `failed`."""

    client: str
    feature: str
    upstream: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Refusal:
    """A refusal that is right: on these upstreams, in these words, for this reason; `clients` empty means all.

    `source` is the address of the document that lacks what was asked, `read` the day it was read.
    """

    features: tuple[str, ...]
    upstreams: tuple[str, ...]
    says: str
    reason: str
    source: str
    read: date
    clients: tuple[str, ...] = ()

    def covers(self, cell: Cell) -> bool:
        """Tell whether this is the refusal of a cell."""
        return (
            cell.outcome in {"refused", "not asked"}
            and cell.feature in self.features
            and cell.upstream in self.upstreams
            and self.says in cell.detail
            and (not self.clients or cell.client in self.clients)
        )


@dataclass(frozen=True)
class Results:
    """One run: its day, what ran in which version, and every cell."""

    date: str
    versions: Mapping[str, str]
    cells: tuple[Cell, ...]

    def rows(self) -> Iterator[tuple[str, str, list[Cell]]]:
        """Yield client, feature and cells in the order of the run."""
        found: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            found.setdefault((cell.client, cell.feature), []).append(cell)
        for (client, feature), cells in found.items():
            yield client, feature, cells


def read_results(text: str) -> Results:
    """Read what `write_results` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return Results(fields["date"], fields["versions"], tuple(Cell(**each) for each in fields["cells"]))


def write_results(results: Results) -> str:
    """Return results as JSON, a cell a line; the words of a refusal without what changes from run to run."""
    cells = [json.dumps(cell.__dict__, ensure_ascii=False) for cell in results.cells]
    head = json.dumps({"date": results.date, "versions": dict(results.versions)}, indent=1)[:-2]
    return head + ',\n "cells": [\n  ' + ",\n  ".join(cells) + "\n ]\n}\n"


def read_refusals(text: str) -> tuple[Refusal, ...]:
    """Read the committed list of refusals."""
    entries: list[dict[str, Any]] = tomllib.loads(text)["refusal"]
    return tuple(
        Refusal(
            features=tuple(each["features"]),
            upstreams=tuple(each["upstreams"]),
            says=each["says"],
            reason=each["reason"],
            source=each["source"],
            read=each["read"],
            clients=tuple(each.get("clients", ())),
        )
        for each in entries
    )


def complaints(results: Results, refusals: tuple[Refusal, ...]) -> list[str]:
    """Return what makes a run fail: failures, refusals that are not listed, empty cells, listed refusals unused."""
    found: list[str] = []
    for client, feature, cells in results.rows():
        upstreams = [cell.upstream for cell in cells]
        if upstreams != [NO_UPSTREAM] and sorted(upstreams) != sorted(UPSTREAMS):
            found.append(f"{client}, {feature}: cells for {upstreams} only")
        for cell in cells:
            if cell.outcome != "served" and refusal_of(cell, refusals) is None:
                found.append(f"{client}, {feature}, {cell.upstream}: {cell.outcome}: {cell.detail}")
    for number, refusal in enumerate(refusals, 1):
        if not any(refusal.covers(cell) for cell in results.cells):
            found.append(f"refusal {number} ({refusal.says}) covers nothing")
    return found


def used_of(results: Results, refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """Return the listed refusals that a run of some clients can have met."""
    return tuple(each for each in refusals if any(each.covers(cell) for cell in results.cells))


def refusal_of(cell: Cell, refusals: tuple[Refusal, ...]) -> int | None:
    """Return the number, from 1, of the listed refusal of a cell."""
    return next((number for number, refusal in enumerate(refusals, 1) if refusal.covers(cell)), None)


def page(results: Results, refusals: tuple[Refusal, ...]) -> str:
    """Return the page in Markdown."""
    lines = [
        "# Compatibility",
        "",
        "```",
        "make compat",
        "```",
        "",
        "installs foreign clients, unmodified, runs them against a running server and writes this page from what they",
        f"saw. Last run: {results.date}. A cell that is empty, ✗, or refused without a listed reason fails the run.",
        "",
        "`embedded` is a real model on this machine; the other columns are the scriptable provider of",
        "[testing.md](testing.md), which speaks that dialect. ✓ is served; a number leads to the reason below.",
        "The official `openai` and `anthropic` SDKs are part of `make test` too.",
        "",
        "| ran with | version |",
        "|---|---|",
        *(f"| {name} | {version} |" for name, version in results.versions.items()),
        "",
        *tables(results, refusals),
    ]
    if refusals:
        lines += ["## Refused or not asked", ""]
        lines += [
            f"{number}. {each.reason} ({each.source}, read {each.read})" for number, each in enumerate(refusals, 1)
        ]
    return "\n".join(lines).rstrip() + "\n"


def tables(results: Results, refusals: tuple[Refusal, ...]) -> Iterator[str]:
    """Yield the lines of one table for each client."""
    begun = ""
    for client, feature, cells in results.rows():
        columns = () if cells[0].upstream == NO_UPSTREAM else UPSTREAMS
        if client != begun:
            if begun:
                yield ""
            yield from (f"## {client}", "", f"| feature | {' | '.join(columns or ('served',))} |")
            yield "|---|" + ":-:|" * (len(columns) or 1)
            begun = client
        by_upstream = {cell.upstream: mark(cell, refusals) for cell in cells}
        yield f"| {feature} | {' | '.join(by_upstream.get(each, '') for each in columns or (NO_UPSTREAM,))} |"
    yield ""


def mark(cell: Cell, refusals: tuple[Refusal, ...]) -> str:
    """Return what a cell shows."""
    number = refusal_of(cell, refusals)
    return "✓" if cell.outcome == "served" else "✗" if number is None else f"{cell.outcome} ({number})"
