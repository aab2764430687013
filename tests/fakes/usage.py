"""Usage reports in memory: attempts as they ended, summed when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field

from headrace.domain.usage_report import (
    HOUR_MICROS,
    NO_USAGE,
    Dimension,
    TimeSpan,
    UsageQuestion,
    UsageReport,
    UsageRow,
    UsageSums,
)


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """One attempt as the reports see it; `places` have a value for each dimension but the tag."""

    ended_at_micros: int
    places: dict[Dimension, str]
    sums: UsageSums
    tags: tuple[str, ...] = ()

    def values(self, dimension: Dimension) -> tuple[str, ...]:
        return self.tags if dimension is Dimension.TAG else (self.places.get(dimension, ""),)


@dataclass(slots=True)
class MemoryUsageReports:
    """The reference of the port: attempts that a test gives, grouped one after the other."""

    ended: list[EndedAttempt] = field(default_factory=list[EndedAttempt])
    names: dict[str, str] = field(default_factory=dict[str, str])
    deployment_names: dict[str, str] = field(default_factory=dict[str, str])

    async def report(self, question: UsageQuestion) -> UsageReport:
        found: dict[tuple[TimeSpan, tuple[str, ...]], UsageSums] = {}
        counted = [each for each in self.ended if _counts(each, question)]
        placed = ((span, each) for each in counted for span in question.spans if _lies_in(each, span))
        for span, each in placed:
            for group in _groups(each, question):
                found[span, group] = _added(found.get((span, group), NO_USAGE), each.sums)
        rows = [UsageRow(span, group, sums) for (span, group), sums in sorted(found.items(), key=lambda item: item[0])]
        totals = NO_USAGE
        for each in counted:
            if any(_lies_in(each, span) for span in question.spans):
                totals = _added(totals, each.sums)
        shown = rows[question.first_row : question.first_row + question.most_rows]
        return UsageReport(question, tuple(shown), len(rows), totals, dict(self.names), dict(self.deployment_names))


def _counts(ended: EndedAttempt, question: UsageQuestion) -> bool:
    if question.key_id is not None and ended.places[Dimension.KEY] != question.key_id:
        return False
    return all(set(wanted) & set(ended.values(dimension)) for dimension, wanted in question.filters)


def _lies_in(ended: EndedAttempt, span: TimeSpan) -> bool:
    hour = ended.ended_at_micros - ended.ended_at_micros % HOUR_MICROS
    return span[0] <= hour < span[1]


def _groups(ended: EndedAttempt, question: UsageQuestion) -> Iterable[tuple[str, ...]]:
    groups: list[tuple[str, ...]] = [()]
    for dimension in question.group_by:
        values = ended.values(dimension)
        if dimension is Dimension.TAG:
            values = tuple(each for each in values if _is_wanted(each, question))
        groups = [(*group, value) for group in groups for value in values]
    return groups


def _is_wanted(tag: str, question: UsageQuestion) -> bool:
    wanted = [values for dimension, values in question.filters if dimension is Dimension.TAG]
    named = question.tag_name is None or tag.startswith(f"{question.tag_name}=")
    return named and all(tag in values for values in wanted)


def _added(first: UsageSums, second: UsageSums) -> UsageSums:
    return UsageSums(*(one + other for one, other in zip(astuple(first), astuple(second), strict=True)))
