"""Strengths from files: the package's, the operator's in their place, and what is added to these."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.catalog import ModelKind
from headrace.domain.errors import ConfigInvalid
from headrace.domain.strength import CHECKABLE, Strength, merged
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.catalogs.strengths import StrengthFiles, add_strengths, shipped_strengths
from headrace.services.catalog import load_catalog
from headrace.services.strengths import on_one_scale


def measured(model: str, value: float) -> Strength:
    return Strength(
        model, value, value - 0.5, value + 0.5, "checkable", "headrace routers calibrate", "2026-11-28", 260
    )


def test_without_a_folder_or_a_file_there_are_the_shipped_ones(tmp_path: Path) -> None:
    assert StrengthFiles(None).read() == StrengthFiles(tmp_path / "none").read() == merged((), shipped_strengths())


def test_what_is_added_is_kept_and_goes_before_the_shipped_ones(tmp_path: Path) -> None:
    file = add_strengths(tmp_path, [measured("first", 1), measured("second", 2)])
    assert file == tmp_path / "routing" / "strengths.toml"
    add_strengths(tmp_path, [measured("second", 3)])
    read = StrengthFiles(tmp_path).read()
    own = [replace(each, is_own=True) for each in (measured("first", 1), measured("second", 3))]
    assert [each for each in read if each.is_own] == own
    assert len(read) == len(merged((), shipped_strengths())) + 2


def test_a_broken_file_is_told_and_not_overwritten(tmp_path: Path) -> None:
    file = add_strengths(tmp_path, [measured("first", 1)])
    file.write_text("[[strength]]\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match='"model" is missing'):
        add_strengths(tmp_path, [measured("second", 2)])
    assert file.read_text(encoding="utf-8") == "[[strength]]\n"


def test_a_change_of_the_operators_file_is_noticed(tmp_path: Path) -> None:
    files = StrengthFiles(tmp_path)
    assert (files.digest(), StrengthFiles(None).digest()) == ("", "")
    add_strengths(tmp_path, [measured("first", 1)])
    before = files.digest()
    add_strengths(tmp_path, [measured("second", 2)])
    assert "" != before != files.digest()


def test_every_shipped_strength_is_of_a_chat_model_of_the_catalog() -> None:
    catalog = load_catalog(CatalogFiles(None))
    chat = {name for name, entries in catalog.models.items() if entries[0].kind is ModelKind.CHAT}
    shipped = shipped_strengths()
    assert {each.model for each in shipped} <= chat
    assert all(each.source.startswith("https://") or each.scale == CHECKABLE for each in shipped)
    known = {name: found.value for name, found in on_one_scale(shipped).items()}
    assert known["smollm2-135m"] < known["gpt-4o-mini"] < known["claude-opus-4-8"]
    assert all(-4 < each < 4 for each in known.values())
