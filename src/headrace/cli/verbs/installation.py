"""The verbs of one installation: serve, init, doctor, catalog check, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.options import (
    NO_HOME_FLAGS,
    NO_SERVE_FLAGS,
    HomeFlags,
    ServeFlags,
    home_of,
    serve_options,
    wants_json,
)
from headrace.cli.verb_shapes import Running, Told, works_at_home
from headrace.domain.doctor import DoctorFinding
from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import Finding
from headrace.domain.json_value import JsonObject, JsonValue

CATALOG_FOLDER = "catalog"


def serve(*, flags: ServeFlags = NO_SERVE_FLAGS, session: Running) -> int:
    """Start the platform. Ctrl-C or SIGTERM finishes the requests in flight and stops it."""
    return session.local.serve(serve_options(flags, session.environment))


def init(*, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Create the home and its credentials without starting anything. Running it again changes nothing."""
    options = serve_options(ServeFlags(home=flags.home), session.environment)
    made = session.local.init(options.home, options.base_url)
    paths: JsonObject = {"home": str(made.home), "credentials": str(made.credentials), "created": made.created}
    words = (
        f"{'Made' if made.created else 'Found'} {made.home}\n"
        f"  Key and admin token: {made.credentials} (only you can read it)\n"
        "  Next: headrace serve"
    )
    return session.tell(paths, words, as_json=wants_json(flags.json, session.environment))


@works_at_home
def doctor(home: Path, *, session: Running) -> Told:
    """Check the store, engines, providers, clock and versions, and say how to fix what is wrong."""
    found = session.local.doctor(home)
    failed = sum(not each.ok for each in found)
    items: list[JsonValue] = [
        {"name": each.name, "ok": each.ok, "message": each.message, "fix": each.fix} for each in found
    ]
    width = max((len(each.name) for each in found), default=0)
    verdict = f"{failed} of {len(found)} checks failed." if failed else "All is well."
    words = "\n".join([*(_check(each, width) for each in found), verdict])
    return Told({"ok": not failed, "findings": items}, words, status=1 if failed else 0)


def check_catalog(folder: Path | None = None, /, *, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Check catalog files. Every mistake is shown with its file, line and fix.

    Parameters
    ----------
    folder:
        The folder with your files. Default: the home's catalog folder.
    """
    if folder is not None and not folder.expanduser().is_dir():
        raise ConfigInvalid(f"{folder} is no folder. Name the one that holds your catalog files.", code="usage")
    where = folder if folder is not None else home_of(flags.home, session.environment) / CATALOG_FOLDER
    found = sorted(session.local.catalog_check(where.expanduser()))
    words = f"The shipped catalog and {where} are right."
    if found:
        count = f"{len(found)} thing{'' if len(found) == 1 else 's'} to correct."
        words = "\n".join([*(each.render() for each in found), count])
    reply: JsonObject = {"ok": not found, "findings": [_finding(each) for each in found]}
    session.tell(reply, words, as_json=wants_json(flags.json, session.environment))
    return 1 if found else 0


@works_at_home
def backup(home: Path, destination: Path, /, *, session: Running) -> Told:
    """Write a consistent copy of the store to one file. It is safe while the platform runs.

    Parameters
    ----------
    destination:
        The file to write; it must not exist.
    """
    note = session.local.backup(home, destination.expanduser())
    reply: JsonObject = {"backup": str(destination), "size_bytes": destination.expanduser().stat().st_size}
    return Told(reply, f"Backed up to {destination}.\n  {note}")


@works_at_home
def restore(
    home: Path,
    source: Path,
    /,
    *,
    force: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    session: Running,
) -> Told:
    """Replace the home's store with a backup. The platform must be stopped.

    Parameters
    ----------
    source:
        The file that `headrace backup` wrote.
    force:
        Replace an existing store.
    """
    note = session.local.restore(source.expanduser(), home, force)
    return Told({"restored": str(source), "home": str(home)}, f"Restored {source} into {home}.\n  {note}")


def _check(finding: DoctorFinding, width: int) -> str:
    line = f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name.ljust(width)}  {finding.message}"
    return line if not finding.fix else f"{line}\n      {finding.fix}"


def _finding(finding: Finding) -> JsonObject:
    return {
        "file": finding.file,
        "line": finding.line,
        "path": finding.path,
        "problem": finding.problem,
        "fix": finding.fix,
    }
