"""A router's choices beside their controls, over many requests, within a bound on what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.evaluation import Choosable, Course, Judged, courses

# With more choosables than this the controls cover the newest requests only.
MOST_CHOOSABLE = 500_000


@dataclass(frozen=True, slots=True)
class Compared:
    """The router's course and its controls over so many requests; none without a request."""

    requests: int
    own: Course | None
    controls: tuple[Course, ...]


class ControlSums:
    """Takes choices, the newest first."""

    def __init__(self, most_choosable: int = MOST_CHOOSABLE) -> None:
        self._room = most_choosable
        self._judged: list[Judged] = []

    def add(self, chosen: str, choosable: Mapping[str, Choosable]) -> None:
        """Add the model that was chosen of those that could have served."""
        self._room -= len(choosable)
        if self._room >= 0:
            self._judged.append(Judged(None, None, 0.0, chosen, choosable))

    def compared(self) -> Compared:
        """Return what was added beside its controls."""
        own, controls = courses(self._judged)
        return Compared(len(self._judged), own, controls)
