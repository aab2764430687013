"""`headrace audit`: whether the books of this home agree with themselves, to the nano-dollar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.progress import PullProgress
from headrace.cli.session import Session, columns
from headrace.cli.verb_shapes import Running, Told, works_at_home
from headrace.domain.audit import AuditReport, Difference
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.ports.fleet import Progress

# Where no terminal shows a bar, only work that takes a while is told of.
LONG_ROWS = 100_000


@works_at_home
def audit(
    home: Path, *, rebuild_usage: Annotated[bool, Parameter(negative="", show_default=False)] = False, session: Running
) -> Told:
    """Recompute every balance, hold, hourly sum and receipt from the ledger, and fail if one differs.

    Changes nothing. It is safe while the platform runs.

    Parameters
    ----------
    rebuild_usage:
        First rebuild the hourly sums from the ledger in one transaction. The platform must be stopped.
    """
    if rebuild_usage:
        session.local.rebuild_usage(home)
    report = _audited(session, home)
    return Told(_as_json(report, rebuilt=rebuild_usage), _as_text(report), status=0 if report.agrees else 1)


def _audited(session: Session, home: Path) -> AuditReport:
    with PullProgress(session.stderr, "checking") as shown:
        return session.local.audit(home, shown if session.stderr.isatty() else _only_long(shown))


def _only_long(shown: PullProgress) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.total >= LONG_ROWS:
            shown(progress)

    return watch


def _as_text(report: AuditReport) -> str:
    checked = report.checked.items()
    counts = " · ".join(f"{number} {what.removesuffix('s') if number == 1 else what}" for what, number in checked)
    if report.agrees:
        return f"checked {counts}\nThe books agree to the nano-dollar."
    rows = [("what", "of", "kept", "derived", ""), *map(_row, report.differences)]
    lines = [f"checked {counts}", columns(rows, right=frozenset({2, 3}))]
    if report.found > len(report.differences):
        lines.append(f"… and {report.found - len(report.differences)} more.")
    sums = all(each.what.partition(".")[0] in ("usage_hour", "tag_hour") for each in report.differences)
    what = "stop the platform, then headrace audit --rebuild-usage" if sums else "see docs/audit.md; keep a copy first"
    lines.append(f"{report.found} difference{'' if report.found == 1 else 's'}. Next: {what}.")
    return "\n".join(lines)


def _row(difference: Difference) -> tuple[str, str, str, str, str]:
    return (
        difference.what,
        difference.id,
        "nothing" if difference.kept is None else str(difference.kept),
        "nothing" if difference.derived is None else str(difference.derived),
        difference.unit,
    )


def _as_json(report: AuditReport, *, rebuilt: bool) -> JsonObject:
    differences: list[JsonValue] = [
        {"what": each.what, "id": each.id, "kept": each.kept, "derived": each.derived, "unit": each.unit or None}
        for each in report.differences
    ]
    return {
        "ok": report.agrees,
        "usage_rebuilt": rebuilt,
        "checked": dict[str, JsonValue](report.checked),
        "found": report.found,
        "differences": differences,
    }
