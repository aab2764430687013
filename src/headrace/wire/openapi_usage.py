"""Shapes of usage reports in the published description; reading is usage_query's, writing usage_report_json's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from headrace.domain.usage_report import Dimension, Interval
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import ListLinks, Time

Text = str | None


class UsageTotals(Struct, kw_only=True):
    """Sums over attempts; `requests` are those attempts that ended their request. Cost is owed, charge was billed."""

    attempts: int
    requests: int
    input_fresh: int
    input_cache_read: int
    input_cache_write_5m: int
    input_cache_write_1h: int
    output_text: int
    output_reasoning: int
    cost_usd: Usd
    cost_nano_usd: Nano
    charge_usd: Usd
    charge_nano_usd: Nano
    mean_duration_seconds: float | None
    mean_first_event_seconds: float | None


class UsageReportRow(UsageTotals, kw_only=True):
    """One group in one span; it names those dimensions by which the report is grouped, null where there is none."""

    starts_at: Time
    ends_at: Time
    key: Text | UnsetType = UNSET
    key_name: Text | UnsetType = UNSET
    team: Text | UnsetType = UNSET
    model: Text | UnsetType = UNSET
    provider: Text | UnsetType = UNSET
    deployment: Text | UnsetType = UNSET
    deployment_name: Text | UnsetType = UNSET
    route: Text | UnsetType = UNSET
    tag: Text | UnsetType = UNSET
    status: Text | UnsetType = UNSET


class UsagePageMeta(Struct, kw_only=True):
    """How many rows there are, and which page of them this is."""

    total: int
    page: int
    pages: int


class UsageReportPage(Struct, kw_only=True):
    """One page of a report; `totals` are of the whole of it, each attempt once."""

    usage: list[UsageReportRow]
    starts_at: Time
    ends_at: Time
    interval: Interval
    zone: str
    group_by: list[Dimension]
    totals: UsageTotals
    meta: UsagePageMeta
    links: ListLinks


class UsageReportQuery(Struct, kw_only=True):
    """When, by what and of what; `group_by` and filters may stand several times."""

    from_: str | UnsetType = field(default=UNSET, name="from")
    to: str | UnsetType = UNSET
    interval: Literal["hour", "day", "month", "total"] = "day"
    zone: str = "UTC"
    group_by: list[str] | UnsetType = UNSET
    key: list[str] | UnsetType = UNSET
    team: list[str] | UnsetType = UNSET
    model: list[str] | UnsetType = UNSET
    provider: list[str] | UnsetType = UNSET
    deployment: list[str] | UnsetType = UNSET
    route: list[str] | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    status: list[str] | UnsetType = UNSET
    format: Literal["json", "csv"] | UnsetType = UNSET
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
