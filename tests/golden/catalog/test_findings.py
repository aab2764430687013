"""Each catalog file here and what `headrace catalog check` says of it."""

from pathlib import Path

import pytest

from headrace.services.catalog import check_catalog
from headrace.wire.catalog_file import CatalogText

FOLDER = Path(__file__).parent
CASES = sorted(FOLDER.glob("*.toml"))


def said_of(path: Path) -> str:
    findings = check_catalog([CatalogText(path.name, "case", "operator", path.read_bytes())])
    return "".join(f"{each.render()}\n" for each in findings)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_file_gets_the_findings_beside_it(path: Path) -> None:
    assert said_of(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_case_but_the_right_one_says_something() -> None:
    assert [path.stem for path in CASES if not path.with_suffix(".txt").read_text(encoding="utf-8")] == ["right"]
