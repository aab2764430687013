"""Every flag has its variable, and variables are read with care."""

import dataclasses
from pathlib import Path

import pytest

from headrace.cli import environment
from headrace.cli.environment import VARIABLES, Environment, split_names
from headrace.cli.options import ClientFlags, HomeFlags, ServeFlags
from headrace.domain.errors import ConfigInvalid


@pytest.mark.parametrize("flags", [ServeFlags, ClientFlags, HomeFlags])
def test_every_flag_has_its_variable_and_its_help_names_it(
    flags: type[ServeFlags] | type[ClientFlags] | type[HomeFlags],
) -> None:
    for each in dataclasses.fields(flags):
        assert VARIABLES[each.name] == f"HEADRACE_{each.name.upper()}"
        assert f"[{VARIABLES[each.name]}" in str(each.type)


def test_a_variable_that_is_set_to_nothing_counts_as_not_set() -> None:
    read = Environment({"HEADRACE_HOST": " ", "HEADRACE_PORT": "", "HEADRACE_TLS": ""})
    assert (read.text("host"), read.number("port"), read.switch("tls"), read.path("home")) == (None,) * 4


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("0", False), ("off", False)])
def test_switches(text: str, value: bool) -> None:
    assert Environment({"HEADRACE_PULL": text}).switch("pull") is value


@pytest.mark.parametrize(("name", "text"), [("tls", "perhaps"), ("port", "80a"), ("port", "-1"), ("port", "²")])
def test_a_wrong_value_names_the_variable(name: str, text: str) -> None:
    read = Environment({VARIABLES[name]: text})
    with pytest.raises(ConfigInvalid) as caught:
        read.switch(name) if name == "tls" else read.number(name)
    assert VARIABLES[name] in caught.value.message and text in caught.value.message


def test_a_choice_is_one_of_the_allowed_words() -> None:
    assert Environment({"HEADRACE_LOG": "json"}).choice("log", ("json", "pretty")) == "json"
    with pytest.raises(ConfigInvalid, match="json or pretty"):
        Environment({"HEADRACE_LOG": "xml"}).choice("log", ("json", "pretty"))


def test_lists_and_paths() -> None:
    read = Environment({"HEADRACE_ALLOWED_HOST": "a.example, b.example,", "HEADRACE_HOME": "~/h"})
    assert read.names("allowed_host") == ("a.example", "b.example")
    assert read.path("home") == Path("~/h").expanduser()
    assert split_names(",") == ()


def test_the_snapshot_holds_what_the_catalog_may_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_KEY", "x")
    taken = environment.snapshot()
    monkeypatch.delenv("SOME_PROVIDER_KEY")
    assert taken["SOME_PROVIDER_KEY"] == "x"
