"""The shapes of verbs: what the parser sees of one, what it is given, and how what it tells is shown."""

from __future__ import annotations

import inspect
import io
from pathlib import Path

import pytest

from headrace.cli.client import ApiClient, given
from headrace.cli.environment import Environment
from headrace.cli.options import ClientFlags, HomeFlags
from headrace.cli.session import Session, listing
from headrace.cli.verb_shapes import Running, Told, asks_server, works_at_home
from tests.unit.cli.command_line import ENVIRONMENT, URL, CommandLine, FakeLocal


@asks_server
def ask(client: ApiClient, name: str, /, *, loud: bool = False) -> Told:
    """Ask about a name."""
    return Told({"name": name}, f"{name}{'!' if loud else ''} of {client.access.url}", ("beside it",), status=3)


@works_at_home
def look(home: Path, *names: str, session: Running) -> Told:
    """Look at names."""
    return Told({"home": str(home), "names": list(names)}, session.ask_secret("?"))


@pytest.fixture
def session() -> Session:
    streams = (io.StringIO(), io.StringIO(), io.StringIO())
    return Session(FakeLocal(), Environment(ENVIRONMENT), *streams, lambda prompt: f"answered {prompt}")


def written(session: Session) -> tuple[str, str]:
    assert isinstance(session.stdout, io.StringIO) and isinstance(session.stderr, io.StringIO)
    return session.stdout.getvalue(), session.stderr.getvalue()


def test_the_parser_sees_a_verbs_own_parameters_and_behind_them_what_all_have() -> None:
    seen = {name: each.annotation for name, each in inspect.signature(ask).parameters.items()}
    assert list(seen.items()) == [("name", str), ("loud", bool), ("flags", ClientFlags), ("session", Running)]
    seen = {name: each.annotation for name, each in inspect.signature(look).parameters.items()}
    assert list(seen.items()) == [("names", str), ("flags", HomeFlags), ("session", Running)]
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask about a name.")


def test_people_get_words_and_the_notes_beside_them(session: Session) -> None:
    assert ask("me", loud=True, session=session) == 3
    assert written(session) == (f"me! of {URL}\n", "beside it\n")


def test_machines_get_the_reply_alone(session: Session) -> None:
    assert ask("me", flags=ClientFlags(json=True), session=session) == 3
    assert written(session) == ('{"name":"me"}\n', "")


def test_a_switch_that_is_wrong_is_told_before_anything_is_done() -> None:
    line = CommandLine(environment={**ENVIRONMENT, "HEADRACE_JSON": "maybe"})
    ran = line("keys", "create", "web")
    assert (ran.status, 'HEADRACE_JSON is "maybe"' in ran.err, line.api.requests) == (2, True, [])


def test_a_verb_of_the_home_gets_its_path_and_the_session_that_it_names(session: Session) -> None:
    assert look("a", "b", session=session) == 0
    assert look("a", flags=HomeFlags(home=Path("/h"), json=True), session=session) == 0
    assert written(session) == ('answered ?\n{"home":"/h","names":["a"]}\n', "")


def test_what_is_not_given_is_not_asked_for() -> None:
    assert given(usd=None, mode="reject", limit=0) == {"mode": "reject", "limit": 0}


def test_a_list_without_entries_says_what_to_do() -> None:
    assert listing(("ID", "USD"), [("a", "10")], "None.", frozenset({1})) == "ID  USD\na    10"
    assert listing(("ID", "USD"), [], "None.") == "None."
