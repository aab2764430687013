"""One statement over many rows: how its text repeats and that every row arrives once and in order."""

import contextlib
from collections.abc import Generator

import pytest

from headrace.drivers.stores import sql
from headrace.drivers.stores.rowsets import MOST_ROWS, repeated, run_rows
from headrace.drivers.stores.sqlite import Cursor, library

ADD = "INSERT INTO letter (place, name) VALUES (?, nullif(?, '')) ON CONFLICT (place) DO NOTHING"
TAKE = "DELETE FROM letter WHERE letter.place IN (?) RETURNING place, name"


@pytest.fixture
def cursor() -> Generator[Cursor]:
    with contextlib.closing(library.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE letter (place INTEGER PRIMARY KEY, name TEXT) STRICT")
        yield connection.cursor()


@pytest.mark.parametrize(
    ("statement", "rows", "text"),
    [
        ("INSERT INTO a (b) VALUES (nullif(?, -1), ?) ON CONFLICT (b) DO NOTHING", 1, None),
        (
            "INSERT INTO a (b) VALUES (nullif(?, -1), ?) ON CONFLICT (b) DO NOTHING",
            2,
            "INSERT INTO a (b) VALUES (nullif(?, -1), ?), (nullif(?, -1), ?) ON CONFLICT (b) DO NOTHING",
        ),
        ("DELETE FROM a WHERE b IN (?) RETURNING f(b)", 3, "DELETE FROM a WHERE b IN (?, ?, ?) RETURNING f(b)"),
        (
            "WITH s(a) AS (VALUES (?, ?)) UPDATE t SET a=s.a FROM s",
            2,
            "WITH s(a) AS (VALUES (?, ?), (?, ?)) UPDATE t SET a=s.a FROM s",
        ),
    ],
)
def test_the_group_of_parameters_repeats(statement: str, rows: int, text: str | None) -> None:
    assert repeated(statement, rows) == (text or statement)


@pytest.mark.parametrize("count", [0, 1, 7, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS - 1])
def test_every_row_arrives_and_comes_back(cursor: Cursor, count: int) -> None:
    values = [value for place in range(count) for value in (place, f"letter {place}" if place else "")]
    assert run_rows(cursor, ADD, 2, values) == []
    returned = run_rows(cursor, TAKE, 1, list(range(count)))
    assert sorted(returned) == [(place, f"letter {place}" if place else None) for place in range(count)]
    assert cursor.execute("SELECT count(*) FROM letter").fetchone() == (0,)


@pytest.mark.parametrize("name", sorted(name for name in vars(sql) if name.isupper()))
def test_a_generated_statement_has_one_group_to_repeat(name: str) -> None:
    text: str = getattr(sql, name)
    is_of_rows = "VALUES (" in text or " IN (?)" in text
    assert (repeated(text, 2).count("?") > text.count("?")) == is_of_rows
