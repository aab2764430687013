"""`headrace usage`: what was used and what it cost, by any dimension, over any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from cyclopts import Parameter

from headrace.cli.client import open_client
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.usage_text import usage_text
from headrace.cli.verb_shapes import Running
from headrace.domain.errors import ConfigInvalid
from headrace.domain.usage_report import Dimension, Interval

PATH = "/v2/usage"
MOST_ROWS = 1_000
Text = str | None
Texts = tuple[str, ...] | None


def _filter(dimension: str) -> Parameter:
    return Parameter(help=f"Only this {dimension}; may be given again.", negative="")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFlags:
    """Over what time and by what the report is."""

    by: Annotated[
        Texts,
        Parameter(
            help="Group by key, team, model, provider, deployment, route, tag or status; may be given again. tag:NAME "
            "takes the tags of one name.",
            negative="",
        ),
    ] = None
    since: Annotated[
        Text, Parameter(help="From when: a date, a whole hour like 2026-11-24T14:00Z, or 7d or 24h back (30d).")
    ] = None
    until: Annotated[
        Text, Parameter(help="Until when, itself not included: a date or a whole hour (the end of this hour).")
    ] = None
    interval: Annotated[Interval | None, Parameter(help="A row for each hour, day or month (total).")] = None
    zone: Annotated[Text, Parameter(help="Whose days and months these are, like Europe/Berlin (UTC).")] = None
    csv: Annotated[bool, Parameter(help="Print CSV, every row, for spreadsheets.", negative="")] = False


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FilterFlags:
    """What is counted; an empty text means what has none."""

    key: Annotated[Texts, _filter("key, by its ID")] = None
    team: Annotated[Texts, _filter("team")] = None
    model: Annotated[Texts, _filter("model")] = None
    provider: Annotated[Texts, _filter("provider")] = None
    deployment: Annotated[Texts, _filter("deployment, by its name or ID")] = None
    route: Annotated[Texts, _filter("route")] = None
    tag: Annotated[Text, Parameter(help="Only this tag, NAME or NAME=VALUE.")] = None
    status: Annotated[Texts, _filter("status: complete, voided, recovered or an error's code")] = None


NO_REPORT, NO_FILTERS = ReportFlags(), FilterFlags()


def usage(
    *,
    report: ReportFlags = NO_REPORT,
    filters: FilterFlags = NO_FILTERS,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Show usage and cost with totals, by model unless --by says otherwise."""
    asked = _asked(report, filters)
    as_json = wants_json(flags.json, session.environment)
    if report.csv and as_json:
        raise ConfigInvalid("--csv and --json exclude each other. Drop one.", code="usage")
    with open_client(session, flags) as client:
        if report.csv:
            session.write(client.text(f"{PATH}?{urlencode([*asked, ('format', 'csv')])}", "either"))
            return 0
        reply = client.get(f"{PATH}?{urlencode([*asked, ('limit', MOST_ROWS)])}", "either")
    if as_json:
        session.say_json(reply)
    else:
        session.say(usage_text(reply))
    return 0


def _asked(report: ReportFlags, filters: FilterFlags) -> list[tuple[str, str | int]]:
    groups = report.by or (() if report.interval is not None else (Dimension.MODEL.value,))
    asked: list[tuple[str, str | int]] = [("group_by", each) for each in groups]
    asked.append(("interval", (report.interval or Interval.TOTAL).value))
    times = (("from", report.since), ("to", report.until), ("zone", report.zone), ("tag", filters.tag))
    asked += [(name, value) for name, value in times if value is not None]
    several = (each.value for each in Dimension if each is not Dimension.TAG)
    asked += [(name, value) for name in several for value in getattr(filters, name) or ()]
    return asked
