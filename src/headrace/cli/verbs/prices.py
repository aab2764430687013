"""`headrace prices`: what models cost, what a published list would change, and taking over what was reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from headrace.cli.client import ApiClient, segment
from headrace.cli.progress import Waiting
from headrace.cli.replies import part, parts, text, words
from headrace.cli.session import columns
from headrace.cli.verb_shapes import Running, Told, asks_server, works_at_home
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.services.price_proposals import Change, Comparison, Proposed
from headrace.wire.toml_text import table_text

PATH = "/v2/prices"
CATALOG_FOLDER = "catalog"
SourceFormat = Annotated[
    Literal["genai-prices", "models.dev", "provider", "catalog"], Parameter(name="--format", help="What the file is.")
]
WhoseList = Annotated[
    str | None, Parameter(name="--provider", help="Whose list it is, with --format provider: a name in the catalog.")
]


@asks_server
def show_prices(client: ApiClient, model: str, /) -> Told:
    """Show every dated price of a model at each provider, with its source.

    Parameters
    ----------
    model:
        The model, as `headrace models --all` shows it.
    """
    reply = client.get(f"{PATH}/{segment(model)}", "either")
    blocks = [
        _version(text(offer, "provider"), version)
        for offer in parts(part(reply, "prices"), "offers")
        for version in parts(offer, "versions")
    ]
    return Told(reply, "\n\n".join(blocks) or f"{model} has no price, and what has no price is not called.")


@works_at_home
def diff_prices(home: Path, file: Path, /, *, form: SourceFormat, whose: WhoseList = None, session: Running) -> Told:
    """Show what the prices in a file would change and which look wrong. Nothing is written.

    Parameters
    ----------
    file:
        A list of prices that you fetched, or a proposal.
    """
    with Waiting(session.stderr, f"Reading {file.name}"):
        found = session.local.price_diff(home / CATALOG_FOLDER, file.expanduser(), form, whose)
    return Told(_as_json(found, ()), _as_text(found))


@works_at_home
def import_prices(home: Path, file: Path, /, *, form: SourceFormat, whose: WhoseList = None, session: Running) -> Told:
    """Write the price changes of a file as proposals to HOME/catalog/proposals. No price changes yet.

    Parameters
    ----------
    file:
        A list of prices that you fetched.
    """
    with Waiting(session.stderr, f"Reading {file.name}"):
        found, paths = session.local.price_import(home / CATALOG_FOLDER, file.expanduser(), form, whose)
    lines = [_as_text(found)]
    if paths:
        lines += ["Nothing is in force yet. Read each proposal, correct it, and take it over:"]
        lines += [f"  headrace prices apply {path}" for path in paths]
    return Told(_as_json(found, paths), "\n".join(lines))


@works_at_home
def apply_prices(home: Path, proposal: Path, /, *, session: Running) -> Told:
    """Apply a reviewed proposal: its prices become new dated entries in your catalog file.

    Parameters
    ----------
    proposal:
        The file that `headrace prices import` wrote.
    """
    path = session.local.price_apply(home / CATALOG_FOLDER, proposal.expanduser())
    reply: JsonObject = {"file": str(path)}
    return Told(reply, f"Added to {path}.\n  A running server takes it over by itself; at once: headrace config reload")


def _version(provider: str, version: JsonObject) -> str:
    state = "in force" if version.get("in_force") is True else ""
    lines = [f"{provider}   from {text(version, 'effective')}   {state}".rstrip()]
    lines += [f"  {line}" for line in _rates(version)]
    for tier in parts(version, "tiers"):
        lines += [f"  over {text(tier, 'over_input_tokens')} input tokens", *(f"    {each}" for each in _rates(tier))]
    for window in parts(version, "windows"):
        days = ", ".join(words(window.get("days")))
        times = text(window, "multiplier")
        lines.append(
            f"  {text(window, 'from_utc')}-{text(window, 'to_utc')} UTC {days}{f': times {times}' if times else ''}"
        )
        lines += [f"    {each}" for each in _rates(window)]
    if text(version, "batch_multiplier"):
        lines.append(f"  in a batch: times {text(version, 'batch_multiplier')}")
    tiers = part(version, "service_tiers")
    lines += [f"  service tier {name}: times {text(tiers, name)}" for name in tiers]
    return "\n".join([*lines, f"  {text(version, 'version')}", f"  {text(version, 'source')}"])


def _rates(table: JsonObject) -> list[str]:
    per_million, each = part(table, "usd_per_mtok"), part(table, "usd_each")
    rows = [(name, f"${text(per_million, name)}/M") for name in per_million]
    rows += [(name, f"${text(each, name)} each") for name in each]
    return columns(rows).split("\n") if rows else []


def _as_text(found: Comparison) -> str:
    blocks = ["\n".join(_proposed(each)) for each in found.proposed]
    counts = f"{len(found.proposed)} to look at, {found.same} the same, {found.elsewhere} not in this catalog."
    return "\n\n".join([*blocks, counts])


def _proposed(proposed: Proposed) -> Iterator[str]:
    now = f"(now {proposed.current or 'no price'})"
    yield f"{proposed.provider}/{proposed.model_id}   from {proposed.table['effective']}   {now}"
    if proposed.changes:
        rows = [
            (f"  {each.what}", each.before or "none", "->", each.after or "none", _percent(each))
            for each in proposed.changes
        ]
        yield columns(rows)
    for warning in proposed.warnings:
        yield f"  ! {warning}"


def _percent(change: Change) -> str:
    if change.per_mille is None:
        return ""
    whole, tenth = divmod(abs(change.per_mille), 10)
    return f"{'-' if change.per_mille < 0 else '+'}{whole}.{tenth} %"


def _as_json(found: Comparison, paths: tuple[Path, ...]) -> JsonObject:
    return {
        "proposed": [_proposed_json(each) for each in found.proposed],
        "same": found.same,
        "elsewhere": found.elsewhere,
        "files": [str(path) for path in paths],
    }


def _proposed_json(proposed: Proposed) -> JsonObject:
    changes: list[JsonValue] = [
        {"what": each.what, "before": each.before, "after": each.after, "per_mille": each.per_mille}
        for each in proposed.changes
    ]
    return {
        "provider": proposed.provider,
        "model": proposed.model_id,
        "in_force": proposed.current,
        "changes": changes,
        "warnings": list[JsonValue](proposed.warnings),
        "toml": table_text("models.prices", proposed.table),
    }
