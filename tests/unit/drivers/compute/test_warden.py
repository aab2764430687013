"""The warden's own decisions: its log's bound and how an ending is told."""

from pathlib import Path

import pytest

from headrace.drivers.compute.warden import RotatingLog, ending


def test_the_log_moves_aside_before_it_passes_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = RotatingLog(path, 10)
    log.write(b"123456")
    log.write(b"7890")
    assert path.read_bytes() == b"1234567890"
    log.write(b"a")
    assert path.read_bytes() == b"a"
    assert path.with_name("x.log.1").read_bytes() == b"1234567890"
    log.note("done")
    log.write(b"much longer than the limit")
    assert path.read_bytes() == b"much longer than the limit"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.log", "x.log.1"]


def test_the_log_goes_on_where_an_earlier_life_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    RotatingLog(path, 10).write(b"123456")
    RotatingLog(path, 10).write(b"78901")
    assert path.read_bytes() == b"78901"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "it exited with status 0"),
        (3, "it exited with status 3"),
        (-9, "it was ended by signal SIGKILL"),
        (-120, "it was ended by signal 120"),
    ],
)
def test_an_ending_is_told(code: int, text: str) -> None:
    assert ending(code) == text
