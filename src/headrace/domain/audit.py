"""What an audit of the books found; deriving the figures from the entries is a driver's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_SHOWN = 1_000
_UNITS = (("_nano", "nano-dollars"), ("_pico", "pico-dollars"), ("_micros", "microseconds"))


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that the entries do not bear out: what the store keeps, and what is derived; None is nothing at all.

    `what` names table and column, whose last word tells the unit. `id` names the row.
    """

    what: str
    id: str
    kept: int | str | None
    derived: int | str | None

    @property
    def unit(self) -> str:
        """The unit of both figures, or nothing for counts and words."""
        return next((unit for suffix, unit in _UNITS if self.what.endswith(suffix)), "")


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was checked, how many differences there are, and the first of them."""

    checked: Mapping[str, int]
    found: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether every figure is the one that the entries make."""
        return self.found == 0


class Findings:
    """Collects differences; past MOST_SHOWN they are only counted, so that a broken store fits into memory."""

    def __init__(self) -> None:
        self._checked: dict[str, int] = {}
        self._shown: list[Difference] = []
        self._found = 0

    def count(self, what: str, number: int = 1) -> None:
        """Note that something was checked."""
        self._checked[what] = self._checked.get(what, 0) + number

    def compare(self, what: str, row_id: str, kept: int | str | None, derived: int | str | None) -> None:
        """Note a difference, if there is one."""
        if kept == derived:
            return
        self._found += 1
        if len(self._shown) < MOST_SHOWN:
            self._shown.append(Difference(what, row_id, kept, derived))

    def report(self) -> AuditReport:
        """Return what was found so far."""
        return AuditReport(dict(self._checked), self._found, tuple(self._shown))
