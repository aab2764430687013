"""Watching a download survives that pip makes and removes folders beside it."""

import threading
from pathlib import Path

from headrace.drivers.weights.package_source import folder_bytes

ROUNDS = 6_000


def test_folders_that_vanish_while_they_are_counted_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "part.whl").write_bytes(b"12345")
    ended = threading.Event()

    def churn() -> None:
        folder = tmp_path / "pip-unpack"
        while not ended.is_set():
            folder.mkdir()
            folder.rmdir()

    other = threading.Thread(target=churn)
    other.start()
    try:
        assert {folder_bytes(tmp_path) for _ in range(ROUNDS)} == {5}
    finally:
        ended.set()
        other.join()
