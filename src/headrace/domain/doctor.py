"""What a check of an installation found; running the checks is the doctor's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One check: what was looked at, whether it is right, what was seen, and what to do when it is wrong."""

    name: str
    ok: bool
    message: str
    fix: str = ""
