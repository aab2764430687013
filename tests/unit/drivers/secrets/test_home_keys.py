"""The files of the pepper and the master keys."""

from pathlib import Path

import pytest

from headrace.domain.errors import HomeUnusable
from headrace.drivers.secrets.home_keys import open_home_keys
from headrace.testing.clock import FakeRandom


def test_the_first_start_makes_private_files_and_the_next_reads_them(tmp_path: Path) -> None:
    made = open_home_keys(tmp_path, FakeRandom(1))
    read = open_home_keys(tmp_path, FakeRandom(2))
    assert (made.created, read.created) == (True, False)
    assert (made.pepper, made.master) == (read.pepper, read.master)
    assert len(made.pepper) == len(made.master[1]) == 32
    assert made.pepper != made.master[1]
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"pepper": 0o600, "master-1": 0o600}


def test_the_newest_master_key_is_the_current_one(tmp_path: Path) -> None:
    open_home_keys(tmp_path, FakeRandom())
    newer = tmp_path / "secrets" / "master-10"
    newer.touch(mode=0o600)
    newer.write_text("0f" * 32)
    keys = open_home_keys(tmp_path, FakeRandom())
    assert sorted(keys.master) == [1, 10]
    assert keys.current_version == 10
    assert "0f0f" not in repr(keys)


@pytest.mark.parametrize("name", ["secrets", "secrets/pepper", "secrets/master-1"])
def test_what_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    open_home_keys(tmp_path, FakeRandom())
    (tmp_path / name).chmod(0o750)
    with pytest.raises(HomeUnusable, match=r"chmod (600|700)"):
        open_home_keys(tmp_path, FakeRandom())


@pytest.mark.parametrize("content", ["", "zz" * 32, "00" * 31, "00" * 33])
def test_what_is_not_a_key_is_refused(tmp_path: Path, content: str) -> None:
    open_home_keys(tmp_path, FakeRandom())
    (tmp_path / "secrets" / "pepper").write_text(content)
    with pytest.raises(HomeUnusable, match="not a key"):
        open_home_keys(tmp_path, FakeRandom())


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("in the way")
    with pytest.raises(HomeUnusable, match="cannot be used"):
        open_home_keys(tmp_path, FakeRandom())


def test_a_draft_of_a_crashed_start_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / ".pepper.new").write_text("half")
    assert open_home_keys(tmp_path, FakeRandom()).created
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == ["master-1", "pepper"]
