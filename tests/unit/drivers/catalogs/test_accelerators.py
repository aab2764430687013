from pathlib import Path

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.drivers.catalogs.accelerators import LARGEST_BYTES, AcceleratorFiles

OWN = """
[[accelerators]]
slug = "box"
name = "BOX"
maker = "Acme"
memory_gb = 24
"""


@pytest.mark.parametrize("own", [None, Path("nowhere.toml")])
def test_without_a_file_of_its_own_there_are_the_shipped_ones(own: Path | None, tmp_path: Path) -> None:
    book = AcceleratorFiles(own and tmp_path / own).read()
    assert book.find("mi300x") is not None
    assert book.find("box") is None


def test_the_operator_s_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "accelerators.toml"
    files = AcceleratorFiles(path)
    assert files.read().find("box") is None
    path.write_text(OWN)
    assert files.read().find("box") is not None
    path.write_text(OWN.replace("memory_gb", "memory"))
    with pytest.raises(ConfigInvalid, match=r"accelerators\.toml:2: accelerators\[0\]"):
        files.read()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        AcceleratorFiles(tmp_path).read()


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accelerators.toml"
    path.write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(ConfigInvalid, match=f"more than the {LARGEST_BYTES} bytes"):
        AcceleratorFiles(path).read()
