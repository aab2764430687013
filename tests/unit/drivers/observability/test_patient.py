"""The log's stream: written as it comes while there is room, and never waited for."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

import pytest

from headrace.drivers.observability.logs import LogSettings, make_logger
from headrace.drivers.observability.patient import ROOM_CHARACTERS, PatientStream

LINE = "x" * 99 + "\n"


@dataclass(frozen=True)
class Pipe:
    """A pipe that is read when the test says so."""

    reader: int
    writer: TextIO

    def read(self) -> str:
        """Take all that is there."""
        taken = bytearray()
        os.set_blocking(self.reader, False)
        while True:
            try:
                taken += os.read(self.reader, 65_536)
            except BlockingIOError:
                return taken.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield Pipe(reader, stream)
    os.close(reader)


def test_a_stream_without_a_descriptor_takes_everything() -> None:
    kept = io.StringIO()
    stream = PatientStream(kept)
    stream.write(LINE * 100)
    stream.flush()
    assert (kept.getvalue(), stream.lost) == (LINE * 100, 0)


def test_a_pipe_that_is_read_takes_everything_in_order(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer)
    long = "größe " * ROOM_CHARACTERS
    for line in (LINE, f"{long}\n", LINE):
        stream.write(line)
        stream.flush()
    assert (pipe.read(), stream.lost) == (f"{LINE}{long}\n{LINE}", 0)


def test_a_pipe_that_nobody_reads_loses_lines_and_says_how_many(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer)
    for _ in range(2_000):
        stream.write(LINE)
        stream.flush()
    lost = stream.lost
    read = pipe.read()
    assert 0 < lost < 2_000
    assert read == LINE * (2_000 - lost)
    stream.write(LINE)
    told, last = pipe.read().splitlines()
    assert json.loads(told) == {"lost_lines": lost, "event": "the log was not read", "level": "warning"}
    assert (f"{last}\n", stream.lost) == (LINE, 0)


def test_a_line_that_was_cut_does_not_swallow_the_next(pipe: Pipe) -> None:
    stream = PatientStream(pipe.writer)
    stream.write("y" * 100_000 + "\n")
    assert stream.lost == 1
    assert set(pipe.read()) == {"y"}
    stream.write(LINE)
    empty, told, last = pipe.read().splitlines()
    assert (empty, json.loads(told)["lost_lines"], f"{last}\n") == ("", 1, LINE)
    stream.write(LINE)
    assert pipe.read() == LINE


def test_a_logger_over_it_does_not_wait(pipe: Pipe) -> None:
    logger = make_logger(LogSettings(), PatientStream(pipe.writer))
    for number in range(2_000):
        logger.info("request", number=number)
    first = json.loads(pipe.read().splitlines()[0])
    assert (first["event"], first["number"]) == ("request", 0)


def test_a_reader_who_is_gone_costs_lines_and_nothing_else() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        patient = PatientStream(stream)
        patient.write(LINE)
        patient.flush()
        assert patient.lost == 1
