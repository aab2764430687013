"""The address of a store is never shown, whatever was given in its place."""

from pathlib import Path

import pytest

from headrace.cli.store_address import read_store_address
from headrace.domain.errors import ConfigInvalid


@pytest.mark.parametrize(
    "given",
    [
        "host=db user=u password=hunter2 dbname=books",
        "postgresql:/u:hunter2@db/books",
        "postgres:u:hunter2@db/books",
        "mysql://u:hunter2@db/books",
        "u:hunter2@db",
    ],
)
def test_an_address_in_another_form_is_refused_without_showing_it(given: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_store_address(given)
    assert "hunter2" not in f"{refused.value.message} {refused.value.detail}"


def test_a_file_that_holds_another_form_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("host=db password=hunter2")
    with pytest.raises(ConfigInvalid, match="does not hold the address") as refused:
        read_store_address(str(tmp_path / "store"))
    assert "hunter2" not in refused.value.message


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "db=books@home").write_text("postgresql://u:hunter2@db/books\n")
    assert read_store_address(str(tmp_path / "db=books@home")).reveal() == "postgresql://u:hunter2@db/books"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="nowhere: the store's address cannot be read"):
        read_store_address(str(tmp_path / "nowhere"))
