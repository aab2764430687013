"""Downloads on a terminal and in a log."""

from __future__ import annotations

import pytest

from headrace.cli.progress import PullProgress
from headrace.ports.fleet import Progress
from tests.unit.cli.command_line import Stream


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = Stream()
    with PullProgress(stream) as shown:
        shown.announce("a", 98_000_000, "Apache-2.0")
        shown.announce("a", 98_000_000, "Apache-2.0")
        for done in range(0, 101, 5):
            shown(Progress("a", done, 100, "bytes"))
            shown(Progress("unknown size", done, 0, "bytes"))
    assert stream.getvalue().splitlines() == [
        "pulling a  98 MB  Apache-2.0",
        *(f"pulling a  {step} %" for step in (25, 50, 75, 100)),
    ]


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Stream(terminal=True)
    with PullProgress(stream) as shown:
        shown.announce("smollm2-135m", 98_000_000, "[Apache-2.0]")
        shown(Progress("smollm2-135m", 98_000_000, 98_000_000, "bytes"))
        shown(Progress("engine", 1, 2, "steps"))
    text = stream.getvalue()
    assert "smollm2-135m  98 MB  [Apache-2.0]" in text
    assert "100%" in text and "50%" in text
    assert "\x1b[3" not in text
