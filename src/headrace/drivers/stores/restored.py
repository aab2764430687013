"""The note that a restore leaves in a home: while it lies there, nothing far away is deleted as unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

FILE_NAME = "RESTORED"
NOTE = """This home was restored on {day} from {source}.

A deployment that was made after that backup may still run at a cloud or in a Ray cluster, and is not known here. It
would be deleted, because what nobody knows costs money. While this file lies here, nothing there is deleted for that
reason. Look there for what is named headrace-..., and then delete this file: what is not known is deleted within a
minute.
"""


def note_restore(home: Path, source: Path, unix_micros: int) -> None:
    """Write the note; raises OSError."""
    day = datetime.fromtimestamp(unix_micros / 1e6, UTC).date().isoformat()
    (home / FILE_NAME).write_text(NOTE.format(day=day, source=source.name), encoding="utf-8")


def objection_to_ending(home: Path) -> str | None:
    """Return why nothing far away is ended because it is not known here, None where the note does not lie there."""
    path = home / FILE_NAME
    return f"{path} says why deployments that are not known here are left alone." if path.exists() else None
