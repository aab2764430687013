"""The files that docs/presets.md shows are right beside the shipped ones."""

import re
from pathlib import Path

from headrace.drivers.catalogs.presets import PresetFiles

PAGE = Path(__file__).parents[2] / "docs/presets.md"
FILE = re.compile(r"```toml\n# HOME/catalog/(\S+)\n(.*?)```", re.DOTALL)


def test_the_files_shown_are_right(tmp_path: Path) -> None:
    shown = FILE.findall(PAGE.read_text(encoding="utf-8"))
    for name, text in shown:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    presets = PresetFiles(tmp_path).read()
    assert len(shown) == 3
    assert presets.tasks["bug-fixing"].models == ("claude-sonnet-5", "my-own-coder")
    assert [each.models for each in presets.routers["desk"].router.policies] == [
        ("gpt-5.4-mini", "smollm2-135m"),
        ("gemini-3.5-flash", "smollm2-135m"),
    ]
