"""Each file of a task or a router here and what `headrace catalog check` says of it beside the shipped ones."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.drivers.catalogs.presets import shipped_presets
from headrace.wire.preset_file import PresetKind, PresetText, check_presets

FOLDER = Path(__file__).parent
KINDS: Mapping[str, PresetKind] = {"tasks": "task", "routers": "router"}
CASES = sorted(path for name in KINDS for path in (FOLDER / name).glob("*.toml"))
SHIPPED = shipped_presets()


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def said_of(path: Path) -> str:
    text = PresetText(path.name, "case", KINDS[path.parent.name], path.read_bytes())
    return "".join(f"{each.render()}\n" for each in check_presets((*SHIPPED, text)))


@pytest.mark.parametrize("path", CASES, ids=named)
def test_a_file_gets_the_findings_beside_it(path: Path) -> None:
    assert said_of(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_case_but_the_right_ones_says_something() -> None:
    silent = [named(path) for path in CASES if not path.with_suffix(".txt").read_text(encoding="utf-8")]
    assert silent == ["routers/right", "tasks/right"]
