"""`headrace migrate` and the address of a store: what is read, asked, printed and never shown."""

from pathlib import Path

import pytest

from headrace.cli.environment import Environment
from headrace.cli.options import ServeFlags, serve_options, store_of
from headrace.cli.store_address import read_store_address
from headrace.domain.errors import ConfigInvalid
from headrace.domain.moved import Moved
from headrace.ports.fleet import Progress
from tests.unit.cli.command_line import ENVIRONMENT, CommandLine, FakeLocal

HOME = Path(ENVIRONMENT["HEADRACE_HOME"])
ADDRESS = "postgresql://shop:hunter2@db.example/books"
MOVED = Moved("/h/headrace.db", "postgresql://shop@db.example/books", {"request": 1_200, "epoch": 3}, 9, 5_000, 7)


def test_what_was_moved_is_told_with_the_next_step() -> None:
    line = CommandLine(local=FakeLocal(moved=MOVED, progress=[Progress("request", 1_200, 1_200, "rows")]))
    ran = line("migrate", "--to", ADDRESS)
    assert ran.status == 0
    assert ran.out.startswith("Moved 1,203 rows of 2 tables from /h/headrace.db\n")
    assert "Next: headrace serve --store postgresql://shop@db.example/books\n" in ran.out
    assert "copying request  100 %" in ran.err
    assert "hunter2" not in ran.out + ran.err
    assert line.local.done == [("migrate", HOME, ADDRESS)]


def test_what_was_moved_as_json(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text(f" {ADDRESS}\n")
    line = CommandLine(local=FakeLocal(moved=MOVED))
    assert line("migrate", "--to", str(file), "--json").json == {
        "source": MOVED.source,
        "target": MOVED.target,
        "rows": {"request": 1_200, "epoch": 3},
        "entries_nano": "9",
        "spent_nano": "5000",
        "held_nano": "7",
    }
    assert line.local.done == [("migrate", HOME, ADDRESS)]


def test_flag_environment_and_file_name_the_store_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('[server]\nstore = "where"\n')
    (tmp_path / "where").write_text("postgres://from-the-file/books")
    flag, variable = "postgresql://flag/books", "postgresql://variable/books"
    told = serve_options(ServeFlags(home=tmp_path, store=flag), Environment({"HEADRACE_STORE": variable})).store
    assert told is not None
    assert told.reveal() == flag
    for variables, expected in (
        ({"HEADRACE_STORE": variable}, variable),
        ({}, "postgres://from-the-file/books"),
    ):
        found = store_of(tmp_path, Environment(variables))
        assert found is not None
        assert found.reveal() == expected
    (tmp_path / "headrace.toml").write_text(f'[server]\nstore = "{ADDRESS}"\n')
    written = store_of(tmp_path, Environment({}))
    assert written is not None
    assert written.reveal() == ADDRESS
    assert store_of(tmp_path / "other", Environment({})) is None


@pytest.mark.parametrize(
    "text", ["mysql://root:hunter2@db/books", "{folder}/missing", "{folder}/other", "{folder}/odd"]
)
def test_what_is_no_address_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "other").write_text("host=db password=hunter2")
    (tmp_path / "odd").write_bytes(b"postgresql://\xff")
    with pytest.raises(ConfigInvalid, match="postgresql://USER@HOST/DATABASE") as refused:
        read_store_address(text.format(folder=tmp_path))
    assert "hunter2" not in refused.value.message
