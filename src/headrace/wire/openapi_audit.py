"""Shapes of reconciliations in the published description; writing them is reconciliation_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.bill import BillFormat
from headrace.domain.bill_cause import Cause
from headrace.wire.invoice import AskedFormat
from headrace.wire.openapi_control import ListLinks, ListMeta, Time

Day = Annotated[str, Meta(description="An ISO date, UTC.")]


class ReconciliationBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A bill: the text of a CSV or JSON file. `models` are our model ids by the bill's names."""

    provider: Annotated[str, Meta(min_length=1)]
    content: Annotated[str, Meta(min_length=1)]
    format: AskedFormat = "auto"
    file_name: str | None = None
    since: Day | None = None
    until: Day | None = None
    models: dict[str, str] | None = None


class ReconciliationQuery(Struct, kw_only=True):
    """Which comparisons are listed."""

    provider: str | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class ReconciledFigure(Struct, kw_only=True):
    """One figure of both sides; amounts are in nano-dollars, with dollars beside them."""

    figure: str
    ours: int
    theirs: int
    difference: int
    per_mille: int | None
    ours_usd: str | UnsetType = UNSET
    theirs_usd: str | UnsetType = UNSET


class ReconciledAttempt(Struct, kw_only=True):
    """An attempt behind a difference, and why it may differ."""

    attempt_id: str
    request_id: str
    ended_at: Time
    reasons: list[str]
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    upstream_request_id: str | None


class ReconciledDay(Struct, kw_only=True):
    """One day of one model; the model is null for what is none of ours, and where the bill tells whole days."""

    day: Day
    model: str | None
    billed_as: list[str]
    agrees: bool
    cause: Cause
    says: str
    figures: list[ReconciledFigure]
    doubts: dict[str, int]
    attempts: list[ReconciledAttempt]
    unmatched_ids: list[str]


class ReconciliationSummary(Struct, kw_only=True):
    """A comparison without its days."""

    id: str
    provider: str
    format: BillFormat
    file_name: str | None
    sha256: str
    made_at: Time
    first_day: Day
    last_day: Day
    rows: int
    differing_rows: int
    cause: Cause
    says: str
    totals: list[ReconciledFigure]
    remarks: list[str]


class ReconciliationReport(ReconciliationSummary, kw_only=True):
    """A comparison with every day and model."""

    days: list[ReconciledDay]


class ReconciliationReply(Struct, kw_only=True):
    """One comparison."""

    reconciliation: ReconciliationReport


class ReconciliationList(Struct, kw_only=True):
    """Comparisons, the newest first."""

    reconciliations: list[ReconciliationSummary]
    meta: ListMeta
    links: ListLinks
