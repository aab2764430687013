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
from headrace.cli.session import Session
from headrace.domain.doctor import DoctorFinding
from headrace.domain.finding import Finding
from headrace.domain.json_value import JsonObject, JsonValue

CATALOG_FOLDER = "catalog"
Running = Annotated[Session, Parameter(parse=False)]


def serve(*, flags: ServeFlags = NO_SERVE_FLAGS, session: Running) -> int:
    """Start the platform and serve until Ctrl-C or SIGTERM, which finish what is in flight."""
    return session.local.serve(serve_options(flags, session.environment))


def init(*, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Make the home and its credentials without starting anything; a second time changes nothing."""
    options = serve_options(ServeFlags(home=flags.home), session.environment)
    made = session.local.init(options.home, options.base_url)
    if wants_json(flags.json, session.environment):
        paths: JsonObject = {"home": str(made.home), "credentials": str(made.credentials), "created": made.created}
        session.say_json(paths)
        return 0
    session.say(f"{'Made' if made.created else 'Found'} {made.home}")
    session.say(f"  Key and admin token: {made.credentials} (only you can read it)")
    session.say("  Next: headrace serve")
    return 0


def doctor(*, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Check store, engines, providers, clock and versions, and say what to do; fails when a check fails."""
    found = session.local.doctor(home_of(flags.home, session.environment))
    well = all(each.ok for each in found)
    if wants_json(flags.json, session.environment):
        items: list[JsonValue] = [
            {"name": each.name, "ok": each.ok, "message": each.message, "fix": each.fix} for each in found
        ]
        session.say_json({"ok": well, "findings": items})
    else:
        width = max((len(each.name) for each in found), default=0)
        session.say("\n".join(_check(each, width) for each in found))
        failed = sum(not each.ok for each in found)
        session.say("All is well." if well else f"{failed} of {len(found)} checks failed.")
    return 0 if well else 1


def check_catalog(folder: Path | None = None, /, *, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Check catalog files and say file, line and fix of everything that is wrong.

    Parameters
    ----------
    folder:
        The folder with the operator's files; without it, the home's catalog folder.
    """
    where = folder if folder is not None else home_of(flags.home, session.environment) / CATALOG_FOLDER
    found = sorted(session.local.catalog_check(where.expanduser()))
    if wants_json(flags.json, session.environment):
        items: list[JsonValue] = [_finding(each) for each in found]
        session.say_json({"ok": not found, "findings": items})
    elif found:
        session.say("\n".join(each.render() for each in found))
        session.say(f"{len(found)} thing{'' if len(found) == 1 else 's'} to correct.")
    else:
        session.say(f"The shipped catalog and {where} are right.")
    return 1 if found else 0


def backup(destination: Path, /, *, flags: HomeFlags = NO_HOME_FLAGS, session: Running) -> int:
    """Write a consistent copy of the store to one file, also while the platform runs.

    Parameters
    ----------
    destination:
        The file to write; it must not exist.
    """
    home = home_of(flags.home, session.environment)
    note = session.local.backup(home, destination.expanduser())
    if wants_json(flags.json, session.environment):
        session.say_json({"backup": str(destination), "size_bytes": destination.expanduser().stat().st_size})
        return 0
    session.say(f"Backed up to {destination}.")
    session.say(f"  {note}")
    return 0


def restore(
    source: Path,
    /,
    *,
    force: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    flags: HomeFlags = NO_HOME_FLAGS,
    session: Running,
) -> int:
    """Put a backup in the place of the home's store, while the platform is stopped.

    Parameters
    ----------
    source:
        The file that `headrace backup` wrote.
    force:
        Replace a store that is there already.
    """
    home = home_of(flags.home, session.environment)
    note = session.local.restore(source.expanduser(), home, force)
    if wants_json(flags.json, session.environment):
        session.say_json({"restored": str(source), "home": str(home)})
    else:
        session.say(f"Restored {source} into {home}.")
        session.say(f"  {note}")
    return 0


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
