"""The files of a replica: names, modes, and what is read back."""

from pathlib import Path

import pytest

from headrace.domain.deployment import OwnerLoss
from headrace.drivers.compute.processes import Identity
from headrace.drivers.compute.replica_file import ReplicaState, forget_half_started, read_states, replica_files

STATE = ReplicaState("small-0", "small", 10, 1.5, 11, 2.5, 4321, OwnerLoss.KEEP, 7)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "-x", "x" * 129])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a usable replica name"):
        replica_files(tmp_path, name)


def test_state_and_secret_are_private_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    files = replica_files(tmp_path, "small-0")
    files.write_secret("first")
    files.write_secret("second")
    files.write_state(STATE)
    assert files.secret.read_text() == "second"
    assert {path.stat().st_mode & 0o777 for path in (files.secret, files.state)} == {0o600}
    assert read_states(tmp_path) == [(files.state, STATE)]
    assert (STATE.warden, STATE.engine) == (Identity(10, 1.5), Identity(11, 2.5))
    files.forget()
    files.forget()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"replica": 1}', b"\xff"])
def test_a_spoilt_state_is_told_apart(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "x.json"
    path.write_bytes(content)
    assert read_states(tmp_path) == [(path, None)]


def test_what_cannot_be_read_now_is_left_for_later(tmp_path: Path) -> None:
    (tmp_path / "run" / "x.json").mkdir(parents=True)
    assert read_states(tmp_path) == []


def test_what_is_left_of_a_start_that_was_cut_off_goes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    kept, half = replica_files(tmp_path, "small-1.5-0"), replica_files(tmp_path, "small-1")
    for each in (kept, half):
        each.write_secret("secret")
        each.write_text("text")
        each.life.touch()
        each.state.with_suffix(".partial").touch()
    kept.write_state(STATE)
    forget_half_started(tmp_path)
    assert set((tmp_path / "run").iterdir()) == {kept.state, kept.secret, kept.private, kept.life}
    kept.forget()
    assert list((tmp_path / "run").iterdir()) == []


def test_only_the_latest_life_is_quoted(tmp_path: Path) -> None:
    files = replica_files(tmp_path, "small-0")
    assert files.last_lines(2) == []
    files.log.parent.mkdir()
    files.log.write_bytes(b"old\n[warden] starting\none\n\n two \n\xffthree")
    assert files.last_lines(2) == ["two", "\N{REPLACEMENT CHARACTER}three"]
    assert files.last_lines(9) == ["one", "two", "\N{REPLACEMENT CHARACTER}three"]
    files.log.write_bytes(b"x\n" * 9_000)
    assert files.last_lines(1) == ["x"]
