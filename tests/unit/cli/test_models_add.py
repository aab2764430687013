"""`headrace models add`: what is shown before, when it asks, what is done, and that a running server is told."""

from __future__ import annotations

from pathlib import Path

import httpx2

from headrace.ports.fleet import Progress
from headrace.ports.model_files import FoundModel
from headrace.services.model_adding import Addition, AddWishes
from headrace.wire.gguf_header import GgufHeader
from headrace.wire.model_folder import FolderFacts
from tests.fakes.sizes import an_architecture
from tests.unit.cli.command_line import CommandLine, FakeLocal, Stream

HOME = Path("/nonexistent/headrace")
FILE = Path("/models/toy.gguf")
RELOAD = "POST /v2/config/reload"
HEADER = GgufHeader("toy", "Toy", "mit", 1, 8, 2, (2,), 4, 4, 64, 9, 100, "Q4_1", None)
FACTS = FolderFacts("Toy", 1, 8, 2, 9, 64, (), 5, "bfloat16", 1, True)


def an_addition(*, is_folder: bool = False, notes: tuple[str, ...] = ()) -> Addition:
    found = FoundModel(FILE, 5_000_000_000, FACTS if is_folder else HEADER)
    return Addition("toy", found, "e", an_architecture("toy"), 4096, 4, 6_000_000_000, "Q4_1", "mit", notes)


def line(added: Addition, *, stdin: Stream | None = None) -> CommandLine:
    local = FakeLocal(
        addition=added, progress=(Progress("toy.gguf", 5, 10, "bytes"), Progress("toy.gguf", 10, 10, "bytes"))
    )
    ran = CommandLine(local=local) if stdin is None else CommandLine(local=local, stdin=stdin)
    return ran.answers(RELOAD, {"version": 2, "models": 3})


def test_a_model_is_shown_hashed_added_and_served() -> None:
    asked = line(an_addition(notes=("It brings no chat template.",)))
    ran = asked("models", "add", str(FILE), "--name", "toy", "--context", "4096", "--slots", "4", "--yes")
    assert ran.status == 0
    assert asked.local.done == [("model look", HOME, FILE, AddWishes("toy", 4096, 4)), ("model add", HOME, "toy")]
    assert asked.api.asked == [RELOAD]
    assert "Q4_1, 8,000,000,000 parameters" in ran.out
    assert "  note: It brings no chat template." in ran.out
    assert f"Added toy to {HOME}/catalog/local.toml.\n  headrace chat toy\n" in ran.out
    assert "hashing toy.gguf  100 %" in ran.err


def test_a_folder_is_for_deployments() -> None:
    ran = line(an_addition(is_folder=True))("models", "add", str(FILE), "--yes")
    assert "a deployment on GPUs only" in ran.out
    assert "headrace fit toy" in ran.out
    assert "price" not in ran.out


def test_it_asks_first_and_takes_no_for_an_answer() -> None:
    asked = line(an_addition(), stdin=Stream("y\n", terminal=True))
    assert asked("models", "add", str(FILE)).status == 0
    for answer in ("n\n", "\n", ""):
        refused = line(an_addition(), stdin=Stream(answer, terminal=True))
        ran = refused("models", "add", str(FILE))
        assert ran.status != 0
        assert "nothing was added" in ran.err
        assert [each[0] for each in refused.local.done] == ["model look"]


def test_where_nobody_can_be_asked_it_wants_to_hear_yes() -> None:
    for argv, stdin in ((("--json",), Stream("y\n", terminal=True)), ((), Stream("y\n"))):
        refused = line(an_addition(), stdin=stdin)
        ran = refused("models", "add", str(FILE), *argv)
        assert ran.status != 0
        assert "--yes" in ran.err + ran.out
        assert [each[0] for each in refused.local.done] == ["model look"]


def test_machines_get_what_was_added() -> None:
    ran = line(an_addition(is_folder=True))("models", "add", str(FILE), "--yes", "--json")
    assert isinstance(ran.json, dict)
    assert (ran.json["model"], ran.json["serving"], ran.json["file"]) == ("toy", True, f"{HOME}/catalog/local.toml")


def test_no_server_is_no_harm() -> None:
    asked = line(an_addition())
    asked.api.failure = httpx2.ConnectError("refused")
    ran = asked("models", "add", str(FILE), "--yes")
    assert ran.status == 0
    assert "No server was told" in ran.err
    assert "when a server runs: headrace chat toy" in ran.out
