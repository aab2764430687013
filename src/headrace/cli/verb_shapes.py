"""The two shapes that most verbs have: one asks a server, one works on this machine's home; both tell what came of it.

A verb says its own parameters, what it asks and what it tells. The flags that reach a server or a home, `--json` and
the session are added here, and the parser sees them behind the verb's own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Concatenate

from cyclopts import Parameter

from headrace.cli.options import NO_FLAGS, NO_HOME_FLAGS, ClientFlags, HomeFlags, home_of, wants_json
from headrace.cli.session import Session
from headrace.domain.json_value import JsonValue

if TYPE_CHECKING:
    from headrace.cli.client import ApiClient

SESSION = "session"
Running = Annotated[Session, Parameter(parse=False)]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a verb: the reply for machines, words for people with notes beside them, and the exit status."""

    reply: JsonValue
    words: str
    notes: tuple[str, ...] = ()
    status: int = 0


def asks_server(verb: Callable[Concatenate[ApiClient, ...], Told]) -> Callable[..., int]:
    """Return the command of a verb that is given a client of the server first, and the session where it names one."""

    def command(*given: object, flags: ClientFlags = NO_FLAGS, session: Running, **named: object) -> int:
        from headrace.cli.client import open_client  # noqa: PLC0415 - verbs of the home need no HTTP client

        as_json = wants_json(flags.json, session.environment)
        with open_client(session, flags) as client:
            told = _with_session(verb, session)(client, *given, **named)
        return _tell(told, session, as_json=as_json)

    return _described(command, verb)


def works_at_home(verb: Callable[Concatenate[Path, ...], Told]) -> Callable[..., int]:
    """Return the command of a verb that is given the path of this machine's home first, and the session."""

    def command(*given: object, flags: HomeFlags = NO_HOME_FLAGS, session: Running, **named: object) -> int:
        as_json = wants_json(flags.json, session.environment)
        told = _with_session(verb, session)(home_of(flags.home, session.environment), *given, **named)
        return _tell(told, session, as_json=as_json)

    return _described(command, verb)


def _with_session(verb: Callable[..., Told], session: Session) -> Callable[..., Told]:
    named = SESSION in inspect.signature(verb).parameters
    return functools.partial(verb, session=session) if named else verb


def _tell(told: Told, session: Session, *, as_json: bool) -> int:
    session.tell(told.reply, told.words, as_json=as_json)
    for each in () if as_json else told.notes:
        session.note(each)
    return told.status


def _described(command: Callable[..., int], verb: Callable[..., Told]) -> Callable[..., int]:
    """Show the parser the verb's own parameters without the first, which is ours, and behind them the command's."""
    _, *own = inspect.signature(verb, eval_str=True).parameters.values()
    added = inspect.signature(command, eval_str=True).parameters
    shown = [*(each for each in own if each.name != SESSION), added["flags"], added[SESSION]]
    functools.update_wrapper(command, verb)
    command.__annotations__ = {each.name: each.annotation for each in shown}
    command.__dict__["__signature__"] = inspect.Signature(shown)
    return command
