"""`headrace reconcile`: a provider's usage or invoice beside the books, and the comparisons that were made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from headrace.cli.client import ApiClient, segment
from headrace.cli.replies import dollars, moment, number, part, parts, text, words
from headrace.cli.session import columns, listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.bill_cause import format_percent
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject, JsonValue

PATH = "/v2/reconciliations"
MOST_BYTES = 8 * 1024 * 1024
MOST_DAYS_SHOWN = 40
COST = "cost_nano_usd"
HEADINGS = ("ID", "PROVIDER", "FROM", "TO", "DIFFERING", "CAUSE")
FormName = Literal["auto", "openai", "anthropic", "openrouter", "generic"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BillFlags:
    """How the file is read, and which of its days."""

    format: Annotated[FormName, Parameter(help="Whose form the file has; found by its columns without it.")] = "auto"
    since: Annotated[str | None, Parameter(help="The first day, like 2026-11-01; the file's first without it.")] = None
    until: Annotated[str | None, Parameter(help="The last day; the file's last without it.")] = None
    model: Annotated[
        tuple[str, ...] | None,
        Parameter(help="THEIRS=OURS: which model a name on the bill is; may be given again.", negative=""),
    ] = None


AS_IT_IS = BillFlags()


@asks_server
def reconcile(client: ApiClient, file: Path, /, *, provider: str, bill: BillFlags = AS_IT_IS) -> Told:
    """Compare a provider's bill with the books by day and model, and fail if they differ.

    Parameters
    ----------
    file:
        The export: CSV or JSON.
    provider:
        The provider that billed, as `headrace providers list` shows it.
    """
    body: JsonObject = {
        "provider": provider,
        "content": _read(file.expanduser()),
        "format": bill.format,
        "file_name": file.name,
        "since": bill.since,
        "until": bill.until,
        "models": dict(_mapped(each) for each in bill.model or ()),
    }
    return _told(client.send("POST", PATH, "admin", body))


@asks_server
def reconciliations(client: ApiClient, reconciliation: str | None = None, /, *, provider: str | None = None) -> Told:
    """List past reconciliations, newest first, or show one.

    Parameters
    ----------
    reconciliation:
        The id of one, as the list shows it.
    provider:
        Only those of this provider.
    """
    if reconciliation is not None:
        return _told(client.get(f"{PATH}/{segment(reconciliation)}", "admin"))
    reply = client.get(PATH, "admin", None if provider is None else {"provider": provider})
    empty = "No bill was compared yet: headrace reconcile FILE --provider NAME"
    return Told(reply, listing(HEADINGS, map(_summary, parts(reply, "reconciliations")), empty))


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigInvalid(f"{file} is larger than {MOST_BYTES // 1024**2} MiB. Export days, or a shorter time.")
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{file} cannot be read: {error.strerror}. Name the file that you exported.") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"{file} is not UTF-8 at byte {error.start}. Export it as CSV (UTF-8) or JSON, not as a sheet or PDF."
        ) from error


def _mapped(pair: str) -> tuple[str, JsonValue]:
    theirs, separator, ours = pair.partition("=")
    if not (theirs and separator and ours):
        raise ConfigInvalid(f'"{pair}" names no models: write --model THEIRS=OURS.', param="model")
    return theirs, ours


def _told(reply: JsonObject) -> Told:
    report = part(reply, "reconciliation")
    return Told(reply, "\n".join(_lines(report)), status=1 if number(report, "differing_rows") else 0)


def _lines(report: JsonObject) -> Iterator[str]:
    span = f"{text(report, 'first_day')} to {text(report, 'last_day')}"
    name = text(report, "file_name", "a file")
    yield f"{text(report, 'id')}   {text(report, 'provider')}   {span}   {name} ({text(report, 'format')})"
    yield text(report, "says")
    yield from (f"  ! {remark}" for remark in words(report.get("remarks")))
    yield ""
    yield columns([("", "ours", "theirs", "difference"), *_figures(report, "totals")], right=frozenset({1, 2, 3}))
    differing = [day for day in parts(report, "days") if day.get("agrees") is not True]
    for day in differing[:MOST_DAYS_SHOWN]:
        yield ""
        yield from _day(day)
    if len(differing) > MOST_DAYS_SHOWN:
        yield f"\n… and {len(differing) - MOST_DAYS_SHOWN} more: headrace reconciliations {text(report, 'id')} --json"


def _day(day: JsonObject) -> Iterator[str]:
    billed = ", ".join(words(day.get("billed_as")))
    model = text(day, "model") or billed or "the whole day"
    also = f'   (billed as "{billed}")' if billed and billed != model else ""
    yield f"{text(day, 'day')}   {model}{also}"
    yield f"  {text(day, 'says')}"
    figures = [each for each in _figures(day, "figures") if each[3] != "0"]
    if figures:
        yield columns([(f"  {each[0]}", *each[1:]) for each in figures], right=frozenset({1, 2, 3}))
    for attempt in parts(day, "attempts"):
        why = ", ".join(words(attempt.get("reasons"))).replace("_", " ") or "nothing unusual"
        cost = dollars(number(attempt, COST))
        yield f"    {text(attempt, 'request_id')}   {moment(text(attempt, 'ended_at'))}   {cost}   {why}"
    unmatched = words(day.get("unmatched_ids"))
    if unmatched:
        yield f"    on the bill and not here: {', '.join(unmatched)}"


def _figures(item: JsonObject, name: str) -> list[tuple[str, str, str, str]]:
    return [_figure(each) for each in parts(item, name)]


def _figure(figure: JsonObject) -> tuple[str, str, str, str]:
    name, difference = text(figure, "figure"), number(figure, "difference")
    per_mille = figure.get("per_mille")
    percent = f" ({format_percent(per_mille)})" if isinstance(per_mille, int) and difference else ""
    ours, theirs = number(figure, "ours"), number(figure, "theirs")
    if name == COST:
        return "cost", dollars(ours), dollars(theirs), f"{dollars(difference)}{percent}" if difference else "0"
    return name.replace("_", " "), str(ours), str(theirs), f"{difference:+d}{percent}" if difference else "0"


def _summary(each: JsonObject) -> tuple[str, ...]:
    differing = f"{number(each, 'differing_rows')} of {number(each, 'rows')}"
    days = (text(each, "first_day"), text(each, "last_day"))
    return text(each, "id"), text(each, "provider"), *days, differing, text(each, "cause").replace("_", " ")
