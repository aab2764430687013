"""Our hours as days: of UTC, and of another time zone, which a bill may have been made in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from headrace.domain.bill import HOUR_MICROS, BookedHour, Figures, add_up, day_of

SHIFTS = tuple(hours for hours in range(-12, 15) if hours)
LEAST_DAYS = 2
# A shift is told of when it explains nine tenths of a difference of more than a fiftieth.
EXPLAINED = 10
NOTABLE = 50


def booked_days(hours: Iterable[BookedHour]) -> dict[tuple[str, str], Figures]:
    """Return our figures by day and model."""
    found: dict[tuple[str, str], list[Figures]] = {}
    for hour in hours:
        found.setdefault((day_of(hour.hour_start_micros), hour.model_id), []).append(hour.figures)
    return {place: add_up(figures) for place, figures in found.items()}


def hours_shifted(theirs: Mapping[str, Figures], hours: Sequence[BookedHour]) -> int | None:
    """Return by how many hours their days begin before ours, when that explains what differs, else None.

    `theirs` are the bill's figures by day; `hours` reach a day further on both sides.
    """
    name = next((each for each in ("tokens", "requests", "cost_pico") if _all_tell(theirs, each)), None)
    if name is None or len(theirs) < LEAST_DAYS:
        return None
    billed = {day: int(getattr(figures, name)) for day, figures in theirs.items()}
    booked: dict[int, int] = {}
    for hour in hours:
        value = getattr(hour.figures, name) or 0
        booked[hour.hour_start_micros] = booked.get(hour.hour_start_micros, 0) + value
    left = {shift: _left(billed, booked, shift) for shift in SHIFTS}
    now = _left(billed, booked, 0)
    best = min(SHIFTS, key=lambda shift: (left[shift], abs(shift)))
    if now * NOTABLE <= sum(billed.values()) or left[best] * EXPLAINED > now:
        return None
    return best


def _all_tell(theirs: Mapping[str, Figures], name: str) -> bool:
    return bool(theirs) and all(getattr(figures, name) is not None for figures in theirs.values())


def _left(billed: Mapping[str, int], booked: Mapping[int, int], shift: int) -> int:
    ours = dict.fromkeys(billed, 0)
    for start, value in booked.items():
        day = day_of(start + shift * HOUR_MICROS)
        if day in ours:
            ours[day] += value
    return sum(abs(billed[day] - ours[day]) for day in billed)
