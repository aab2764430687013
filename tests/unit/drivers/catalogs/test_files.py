import os
from pathlib import Path

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.drivers.catalogs.files import LARGEST_BYTES, CatalogFiles, shipped_files


def test_shipped_files_come_first_and_the_operator_s_by_name(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", ".hidden.toml", "notes.txt", "a.toml.bak"):
        (tmp_path / name).write_text("x = 1")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.toml").write_text("x = 1")
    found = CatalogFiles(tmp_path).read()
    shipped = len(shipped_files())
    assert [each.origin for each in found[:shipped]] == ["shipped"] * shipped
    assert [(each.name, each.origin, each.file) for each in found[shipped:]] == [
        ("a", "operator", str(tmp_path / "a.toml")),
        ("b", "operator", str(tmp_path / "b.toml")),
    ]
    assert found[-1].data == b"x = 1"


@pytest.mark.parametrize("folder", [None, Path("nowhere")])
def test_no_folder_is_no_operator_files(folder: Path | None, tmp_path: Path) -> None:
    files = CatalogFiles(folder and tmp_path / folder)
    assert files.read() == shipped_files()
    assert files.digest() == CatalogFiles(None).digest()


def test_the_digest_changes_with_every_change_and_only_then(tmp_path: Path) -> None:
    files = CatalogFiles(tmp_path)
    seen = [files.digest()]
    path = tmp_path / "a.toml"
    path.write_text("x = 1")
    seen.append(files.digest())
    path.write_text("x = 12")
    seen.append(files.digest())
    os.utime(path, ns=(1, 1))
    seen.append(files.digest())
    path.rename(tmp_path / "b.toml")
    seen.append(files.digest())
    assert len(set(seen)) == 5
    assert files.digest() == seen[-1]
    (tmp_path / "b.toml").unlink()
    assert files.digest() == seen[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigInvalid, match=r"a\.toml: cannot be read"):
        CatalogFiles(tmp_path).read()
    assert CatalogFiles(tmp_path).digest() == CatalogFiles(None).digest()


def test_a_file_that_is_no_catalog_by_its_size_is_named(tmp_path: Path) -> None:
    with (tmp_path / "a.toml").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(ConfigInvalid, match=r"a\.toml: 4194305 bytes"):
        CatalogFiles(tmp_path).read()
