"""Which SQLite libraries are safe, and whose fault an error is."""

import pytest

from headrace.drivers.stores.sqlite import is_store_fault, library, wal_reset_safe


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_versions_with_the_race_are_known(version: tuple[int, int, int], *, safe: bool) -> None:
    assert wal_reset_safe(version) is safe


def test_full_locked_and_damaged_are_the_stores_fault() -> None:
    assert is_store_fault(library.OperationalError("database or disk is full"))
    assert is_store_fault(library.DatabaseError("database disk image is malformed"))
    assert not is_store_fault(library.IntegrityError("UNIQUE constraint failed"))
    assert not is_store_fault(library.ProgrammingError("bad"))
    assert not is_store_fault(ValueError("bad"))
