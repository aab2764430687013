"""`headrace migrate`: moves this home's books into PostgreSQL and says what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.progress import PullProgress
from headrace.cli.replies import dollars
from headrace.cli.store_address import read_store_address
from headrace.cli.verb_shapes import Running, Told, works_at_home
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.moved import Moved


@works_at_home
def migrate(
    home: Path,
    *,
    to: Annotated[str, Parameter(help="PostgreSQL's address, or a file that holds it.")],
    session: Running,
) -> Told:
    """Move this home's books into an empty PostgreSQL database. The platform must be stopped.

    All or nothing: rows and sums are compared on both sides first. Secrets, catalog and weights stay in the home.
    """
    with PullProgress(session.stderr, "copying") as shown:
        moved = session.local.migrate(home, read_store_address(to), shown)
    return Told(_as_json(moved), _as_text(moved))


def _as_text(moved: Moved) -> str:
    return (
        f"Moved {sum(moved.rows.values()):,} rows of {len(moved.rows)} tables from {moved.source}\n"
        f"  to {moved.target}; both sides agree: entries of {dollars(moved.entries_nano)} in all, "
        f"{dollars(moved.spent_nano)} spent, {dollars(moved.held_nano)} held.\n"
        f"  Next: headrace serve --store {moved.target}\n"
        "  or set HEADRACE_STORE, or store below [server] in headrace.toml; then headrace audit.\n"
        "  The home is still needed: its secrets open keys and credentials. The old file is marked, not served."
    )


def _as_json(moved: Moved) -> JsonObject:
    return {
        "source": moved.source,
        "target": moved.target,
        "rows": dict[str, JsonValue](moved.rows),
        "entries_nano": str(moved.entries_nano),
        "spent_nano": str(moved.spent_nano),
        "held_nano": str(moved.held_nano),
    }
