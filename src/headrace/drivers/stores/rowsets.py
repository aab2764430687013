"""Owns running one statement over many rows of parameters at once; knows no table.

Every call into SQLite gives the interpreter lock away and waits to get it back, which costs more than a row does.
Rows go as bound parameters: the same rows as one JSON text, taken apart by `json_each`, cost four times as much.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from headrace.drivers.stores.sqlite import Cursor

MOST_ROWS = 32
GROUP = re.compile(r"(?<=VALUES )\((?:[^()]|\([^()]*\))*\)|(?<=IN \()\?")


def run_rows(cursor: Cursor, statement: str, columns: int, values: Sequence[str | int | bytes]) -> list[Any]:
    """Run a statement whose first VALUES or IN names one row, over all rows; return what it returns.

    `values` are the rows' parameters one after the other. They run in pieces of at most 32, for every number of
    rows is a statement of its own to compile.
    """
    returned: list[Any] = []
    start, left = 0, len(values) // columns
    while left:
        rows = min(left, MOST_ROWS)
        end = start + rows * columns
        returned += cursor.execute(repeated(statement, rows), values[start:end]).fetchall()
        start, left = end, left - rows
    return returned


@cache
def repeated(statement: str, rows: int) -> str:
    """Return a statement for one row with its group of parameters written as often as there are rows."""
    return GROUP.sub(lambda group: ", ".join([group[0]] * rows), statement, count=1)
