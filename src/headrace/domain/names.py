"""Which known name somebody may have meant; what a name stands for is not decided here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
# Comparing costs time for every character; no name of ours is longer.
LONGEST_NAME = 256


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like this one, whatever its case, or None when none is like it."""
    if len(name) > LONGEST_NAME:
        return None
    by_folded = {each.casefold(): each for each in sorted(known)}
    folded = name.casefold()
    found = difflib.get_close_matches(folded, by_folded, n=1, cutoff=CUTOFF)
    if found:
        return by_folded[found[0]]
    containing = sorted((each for each in by_folded if len(folded) > 2 and folded in each), key=len)
    return by_folded[containing[0]] if containing else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean "…"?`, or nothing when no known name is like this one."""
    found = closest(name, known)
    return f'Did you mean "{found}"?' if found is not None else ""
