"""What a verb works with: streams, environment, local verbs and the way to the API; no verb knows the process."""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from headrace.cli.environment import Environment, snapshot
from headrace.cli.local import LocalVerbs
from headrace.domain.json_value import JsonValue
from headrace.wire.json_strict import encode

if TYPE_CHECKING:
    from headrace.cli.access import Access
    from headrace.cli.client import ApiClient

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def ask_secret(prompt: str) -> str:
    """Return what was typed at the terminal without showing it."""
    return getpass.getpass(prompt)


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command. `connect` opens the API client; None means the real one."""

    local: LocalVerbs
    environment: Environment = field(default_factory=lambda: Environment(snapshot()))
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    ask_secret: Callable[[str], str] = ask_secret
    connect: Callable[[Access], ApiClient] | None = None
    sleep: Callable[[float], None] = time.sleep

    def say(self, text: str) -> None:
        """Write lines of a result."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Write part of a result at once; a terminal gets no control characters that others may have put there."""
        self.stdout.write(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text) if self.stdout.isatty() else text)
        self.stdout.flush()

    def read_line(self, prompt: str) -> str | None:
        """Return the next line that is typed, or None at the end; the terminal's own editing where there is one."""
        if self.stdin is sys.stdin and self.stdin.isatty():
            try:
                return input(prompt)
            except EOFError:
                return None
        self.write(prompt)
        return self.stdin.readline() or None

    def note(self, text: str) -> None:
        """Write a line that is not part of the result."""
        self.stderr.write(f"{_CONTROL.sub(chr(0xFFFD), text) if self.stderr.isatty() else text}\n")
        self.stderr.flush()

    def tell(self, value: JsonValue, words: str, *, as_json: bool) -> int:
        """Write a result for machines or for people and return the status of success."""
        if as_json:
            self.say_json(value)
        else:
            self.say(words)
        return 0

    def say_json(self, value: JsonValue) -> None:
        """Write a result for machines: one line of JSON."""
        self.stdout.write(encode(value).decode() + "\n")
        self.stdout.flush()


def listing(
    headings: Sequence[str], rows: Iterable[Sequence[str]], empty: str, right: frozenset[int] = frozenset()
) -> str:
    """Return rows as columns under their headings, or what is to be said when there are none."""
    shown = [headings, *rows]
    return columns(shown, right) if len(shown) > 1 else empty


def columns(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return rows as aligned columns two spaces apart; the columns in `right` are aligned to the right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    lines: list[str] = []
    for row in rows:
        cells = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
