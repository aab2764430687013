"""Documents point at files, sections and commands that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z0-9]*):", re.MULTILINE)
MAKE_IN_PROSE = re.compile(r"`make ([a-z][a-z0-9]*)\b")
MAKE_IN_FENCE = re.compile(r"(?:^[ $]*|&& )make ([a-z][a-z0-9]*)\b", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """Anchors of a document's headings, as code forges make them."""
    headings = re.findall(r"^#+ +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_local_links_resolve(document: Path) -> None:
    text = FENCE.sub("", document.read_text())
    broken: list[str] = []
    for plain, image in LINK.findall(text):
        link = plain or image
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_named_make_targets_exist(document: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    text = document.read_text()
    fenced = "\n".join(FENCE.findall(text))
    named = {*MAKE_IN_PROSE.findall(FENCE.sub("", text)), *MAKE_IN_FENCE.findall(fenced)}
    assert named <= targets


def test_there_are_documents() -> None:
    assert {"CONTRIBUTING.md", "SECURITY.md", "AGENTS.md", "docs/glossary.md"} <= {name_of(d) for d in DOCUMENTS}


def test_agents_guide_is_short() -> None:
    assert (ROOT / "AGENTS.md").read_text().count("\n") <= 150
