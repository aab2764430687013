"""Finds the line on which each key of a TOML text stands; reading the values is tomllib's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_STATEMENT = re.compile(
    rf"[ \t]*(?:(?P<array>\[\[[ \t]*(?P<array_key>{_KEY})[ \t]*\]\])"
    rf"|(?P<table>\[[ \t]*(?P<table_key>{_KEY})[ \t]*\])"
    rf"|(?P<key>{_KEY})[ \t]*=)?"
)
_PARTS = re.compile(_PART)
_TOKEN = re.compile(
    r'"""(?:\\.|(?!""").)*"""|'
    r"'''.*?'''|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|#[^\n]*|[\[\]{}\n]|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line of every table and key of a valid TOML text; keys of inline tables are left out."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    position, number = 0, 1
    while position < len(text) and (found := _STATEMENT.match(text, position)) is not None:
        if found["array"] is not None:
            parent, last = _resolve((), _split(found["array_key"]), counts)
            index = counts.get((*parent, last), 0)
            counts[(*parent, last)] = index + 1
            table = (*parent, last, index)
            lines.setdefault((*parent, last), number)
            lines[table] = number
        elif found["table"] is not None:
            parent, last = _resolve((), _split(found["table_key"]), counts)
            table = (*parent, last)
            lines[table] = number
        elif found["key"] is not None:
            parent, last = _resolve(table, _split(found["key"]), counts)
            lines[(*parent, last)] = number
        end = _statement_end(text, found.end())
        number += text.count("\n", position, end)
        position = end
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of a key, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        found = lines.get(path[:length])
        if found is not None:
            return found
    return 1


def show(path: KeyPath) -> str:
    """Return a key path as text, like `models[0].prices[1].input`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f".{part}" if shown else part
    return shown


def _split(key: str) -> tuple[str, ...]:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in _PARTS.findall(key))


def _resolve(start: KeyPath, parts: tuple[str, ...], counts: Mapping[KeyPath, int]) -> tuple[KeyPath, str]:
    path = start
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path] - 1)
    return path, parts[-1]


def _statement_end(text: str, position: int) -> int:
    depth = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            return len(text)
        position = found.end()
        piece = found[0]
        if piece == "\n" and depth == 0:
            return position
        depth += (piece in "[{") - (piece in "]}")
    return position
