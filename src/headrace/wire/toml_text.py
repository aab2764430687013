"""Writes tables of a catalog file as TOML; reading is tomllib's."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, cast

Table: TypeAlias = Mapping[str, Any]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def table_text(header: str, table: Table) -> str:
    """Return one table of an array of tables; lists of tables in it follow as `[[header.key]]`."""
    return "\n".join([f"[[{header}]]", *_lines(header, table)])


def _lines(header: str, table: Table) -> Iterator[str]:
    nested: list[str] = []
    for key, value in table.items():
        tables = _tables(value)
        if tables:
            nested += ["\n" + table_text(f"{header}.{key}", each) for each in tables]
        else:
            yield f"{_key(key)} = {value_text(value)}"
    yield from nested


def _tables(value: object) -> list[Table]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Table", each) for each in items if isinstance(each, Mapping)]


def value_text(value: object) -> str:
    """Return a value as it stands behind a key, on one line."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {value_text(each)}" for key, each in cast("Table", value).items())
        return f"{{ {inner} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    """A key may come from a list of others: it must not end its line."""
    return name if _BARE_KEY.match(name) else value_text(name)
