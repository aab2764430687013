"""Logs of replicas: names that are never given twice, last lines, and how many are kept."""

from pathlib import Path

import pytest

from headrace.drivers.compute.replica_log import KEPT_ENDED, ReplicaLogs, base_name, lowest_name


@pytest.fixture
def logs(tmp_path: Path) -> ReplicaLogs:
    (tmp_path / "logs").mkdir()
    (tmp_path / "run").mkdir()
    return ReplicaLogs(tmp_path)


def write(home: Path, name: str, text: str = "x\n") -> None:
    (home / "logs" / name).write_text(text)


@pytest.mark.parametrize(
    ("deployment", "name"),
    [("di_1", "di_1"), ("org/model:7b", "org-model-7b"), ("../..", "model"), ("x" * 200, "x" * 100)],
)
def test_names_are_those_of_files(deployment: str, name: str) -> None:
    assert base_name(deployment) == name
    assert lowest_name(deployment, {f"{name}-0", f"{name}-2"}) == f"{name}-1"


def test_a_name_is_never_given_twice(logs: ReplicaLogs, tmp_path: Path) -> None:
    assert logs.new_name("di", set()) == "di-0"
    assert logs.new_name("di", {"di-0"}) == "di-1"
    write(tmp_path, "di-7.log")
    write(tmp_path, "di-x.log")
    write(tmp_path, "other-9.log")
    assert logs.new_name("di", {"di-7"}) == "di-8"
    assert logs.new_name("di", {"di-7", "di-8"}) == "di-9"


def test_the_last_few_logs_of_those_that_ended_are_kept(logs: ReplicaLogs, tmp_path: Path) -> None:
    for number in range(KEPT_ENDED + 3):
        write(tmp_path, f"di-{number}.log")
        write(tmp_path, f"di-{number}.log.1")
    logs.prune("di", {"di-0"})
    assert logs.names("di") == ("di-0", *(f"di-{number}" for number in range(3, KEPT_ENDED + 3)))
    assert not (tmp_path / "logs" / "di-1.log.1").exists()
    logs.prune("di", (), 0)
    assert list((tmp_path / "logs").iterdir()) == []


def test_last_lines_come_of_the_file_before_too(logs: ReplicaLogs, tmp_path: Path) -> None:
    assert logs.tail("di-0", 3) == ()
    write(tmp_path, "di-0.log.1", "one\ntwo\nthree\n")
    write(tmp_path, "di-0.log", "four\n")
    assert logs.tail("di-0", 3) == ("two", "three", "four")
    assert logs.tail("di-0", 1) == ("four",)
    assert logs.tail("di-0", 0) == ()


def test_a_long_log_is_read_from_its_end(logs: ReplicaLogs, tmp_path: Path) -> None:
    write(tmp_path, "di-0.log", "".join(f"line {number} {'x' * 900}\n" for number in range(100)))
    found = logs.tail("di-0", 4)
    assert [line.split()[1] for line in found] == ["98", "99"]
    write(tmp_path, "di-0.log", "x" * 10_000)
    assert len(logs.tail("di-0", 1)[0]) == 512


def test_a_secret_is_not_shown(logs: ReplicaLogs, tmp_path: Path) -> None:
    (tmp_path / "run" / "di-0.secret").write_text("s3cret")
    write(tmp_path, "di-0.log", "server_args=(api_key='s3cret')\n")
    assert logs.tail("di-0", 1) == ("server_args=(api_key='…')",)
