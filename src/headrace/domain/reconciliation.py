"""Comparing our books with a provider's bill, day by day and model by model; what it comes from is bill_cause.py's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.domain.bill import FIELDS, Bill, BilledLine, BookedAttempt, BookedHour, Figures, add_up
from headrace.domain.bill_cause import Cause, Circumstances, Drift, explain, unit_factor
from headrace.domain.bill_days import booked_days, hours_shifted

MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class ReconciledRow:
    """One day of one model: what differs, why, and what to do, with the attempts behind it.

    `model_id` is ours, "" where there is none, or where the bill tells a whole day; `billed_as` are the provider's
    names. `doubts` count the attempts that may differ, by reason; `unmatched` are the bill's ids that we do not know.
    """

    day: str
    model_id: str
    billed_as: tuple[str, ...]
    drifts: tuple[Drift, ...]
    cause: Cause
    says: str
    attempts: tuple[BookedAttempt, ...] = ()
    doubts: Mapping[str, int] = field(default_factory=dict[str, int])
    unmatched: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs but the rounding of amounts."""
        return self.cause in (Cause.AGREES, Cause.ROUNDING)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The whole comparison: every row, the totals, and one sentence."""

    rows: tuple[ReconciledRow, ...]
    totals: tuple[Drift, ...]
    cause: Cause
    says: str

    @property
    def drifting(self) -> int:
        """How many rows differ."""
        return sum(not row.agrees for row in self.rows)


@dataclass(frozen=True, slots=True)
class Books:
    """Our side: hours that reach a day further than the period on both sides, and the attempts that may differ.

    `days` are the first and the last of the period. `attempts` come with the strongest reason first.
    """

    days: tuple[str, str]
    hours: Sequence[BookedHour]
    attempts: Sequence[BookedAttempt] = ()
    upstream_ids: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Place:
    """Both sides of a row while they are gathered."""

    lines: list[BilledLine] = field(default_factory=list[BilledLine])
    ours: list[Figures] = field(default_factory=list[Figures])
    attempts: list[BookedAttempt] = field(default_factory=list[BookedAttempt])


def reconcile(bill: Bill, books: Books, names: Mapping[str, str]) -> Reconciliation:
    """Compare; `names` are our model ids by the bill's names. What the bill does not tell is not compared."""
    told = tuple(name for name in FIELDS if any(getattr(line.figures, name) is not None for line in bill.lines))
    places = _places(bill, books, names)
    totals = _drifts(told, (figures for place in places.values() for figures in place.ours), bill.lines)
    factor = unit_factor(totals)
    shift = None if factor else _shift(bill, books, names)
    rows = tuple(
        _row(place, found, told, (factor, shift, books.upstream_ids)) for place, found in sorted(places.items())
    )
    cause, says = _overall(rows, totals)
    return Reconciliation(rows, totals, cause, says)


def _places(bill: Bill, books: Books, names: Mapping[str, str]) -> dict[tuple[str, str, str], _Place]:
    """Gather rows by day, our model, and the bill's name where it is no model of ours."""
    places: dict[tuple[str, str, str], _Place] = {}
    for line in bill.lines:
        model_id = names.get(line.model, "")
        place = (line.day, model_id, "" if model_id else line.model)
        places.setdefault(place, _Place()).lines.append(line)
    whole_days = {day for day, model_id, name in places if not model_id and not name}

    def place_of(day: str, model_id: str) -> _Place:
        named = (day, model_id, "")
        merged = named not in places and day in whole_days
        return places.setdefault((day, "", "") if merged else named, _Place())

    first, last = books.days
    for (day, model_id), figures in sorted(booked_days(books.hours).items()):
        if first <= day <= last:
            place_of(day, model_id).ours.append(figures)
    for attempt in books.attempts:
        if first <= attempt.day <= last:
            place_of(attempt.day, attempt.model_id).attempts.append(attempt)
    return places


def _shift(bill: Bill, books: Books, names: Mapping[str, str]) -> int | None:
    known = [line for line in bill.lines if not line.model or line.model in names]
    by_day: dict[str, list[Figures]] = {}
    for line in known:
        by_day.setdefault(line.day, []).append(line.figures)
    models = {names.get(line.model, "") for line in known}
    hours = [hour for hour in books.hours if "" in models or hour.model_id in models]
    return hours_shifted({day: add_up(figures) for day, figures in by_day.items()}, hours)


def _row(
    place: tuple[str, str, str],
    found: _Place,
    told: tuple[str, ...],
    whole: tuple[int | None, int | None, frozenset[str]],
) -> ReconciledRow:
    day, model_id, _ = place
    factor, shift, upstream_ids = whole
    drifts = _drifts(told, found.ours, found.lines)
    doubts: dict[str, int] = {}
    for reason in (reason for attempt in found.attempts for reason in attempt.reasons):
        doubts[reason] = doubts.get(reason, 0) + 1
    billed_as = tuple(sorted({line.model for line in found.lines if line.model}))
    circumstances = Circumstances(
        day=day,
        model_id=model_id,
        billed_as=billed_as,
        is_billed=bool(found.lines),
        is_booked=bool(found.ours),
        doubts=doubts,
        factor=factor,
        shift_hours=shift,
        step_pico=sum(line.step_pico for line in found.lines),
        requests=add_up(found.ours).requests or 0,
    )
    cause, says = explain(drifts, circumstances)
    if cause in (Cause.AGREES, Cause.ROUNDING):
        return ReconciledRow(day, model_id, billed_as, drifts, cause, says, doubts=doubts)
    given = (line.request_id for line in found.lines if line.request_id is not None)
    unmatched = tuple(each for each in given if each not in upstream_ids)[:MOST_ATTEMPTS]
    attempts = tuple(found.attempts[:MOST_ATTEMPTS])
    return ReconciledRow(day, model_id, billed_as, drifts, cause, says, attempts, doubts, unmatched)


def _drifts(told: tuple[str, ...], ours: Iterable[Figures], lines: Iterable[BilledLine]) -> tuple[Drift, ...]:
    mine, theirs = add_up(ours), add_up(line.figures for line in lines)
    return tuple(
        Drift("cost_nano", mine.cost_nano or 0, theirs.cost_nano or 0, mine.cost_pico or 0, theirs.cost_pico or 0)
        if name == "cost_pico"
        else Drift(name, getattr(mine, name) or 0, getattr(theirs, name) or 0)
        for name in told
    )


def _overall(rows: tuple[ReconciledRow, ...], totals: tuple[Drift, ...]) -> tuple[Cause, str]:
    drifting = [row for row in rows if not row.agrees]
    if not drifting:
        return Cause.AGREES, f"{len(rows)} of {len(rows)} days and models agree with the bill."
    weights: dict[Cause, int] = {}
    for row in drifting:
        weights[row.cause] = weights.get(row.cause, 0) + _weight(row, totals)
    main = max(weights, key=lambda cause: (weights[cause], cause.value))
    first = max((row for row in drifting if row.cause is main), key=lambda row: _weight(row, totals))
    rest = len(drifting) - sum(row.cause is main for row in drifting)
    others = f" {rest} others have other causes." if rest else ""
    return main, f"{len(drifting)} of {len(rows)} days and models differ. {first.says}{others}"


def _weight(row: ReconciledRow, totals: tuple[Drift, ...]) -> int:
    """What a row's difference weighs: its cost where the bill tells costs, else its tokens or requests."""
    names = {each.name for each in totals}
    name = next((each for each in ("cost_nano", "input_tokens", "output_tokens", "requests") if each in names), "")
    return next((abs(each.difference) for each in row.drifts if each.name == name), 0)
