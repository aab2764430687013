"""README's commands do what README says: they are run here, literally, against a real server.

What is not run here runs elsewhere: the first block in tests/e2e/test_first_two_minutes.py, `make check` and
`make test` in .ci/run, `make bench` by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.catalog import __file__ as catalog_module
from headrace.cli.command import COMMANDS, GROUPS
from headrace.cli.verbs import models
from tests.running import RunningHeadrace

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(headrace [^`]+)` \|", re.MULTILINE)
SELECTED = re.compile(r'make test ARGS="(\S+) -k (\w+)"')
MENTION = re.compile(
    r"(?:^ *(?:\$ )?|`|/bin/|&& |\| )headrace ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)\b(?![.=:/])", re.MULTILINE
)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8080"
RUN_ELSEWHERE = ("git clone ", "make ")
TOO_LARGE_FOR_A_TEST = "models pull"
SECONDS = 100


@dataclass(frozen=True)
class Reader:
    """Somebody who follows README: a home folder, a checkout to stand in, and a running server."""

    home: Path
    checkout: Path
    server: RunningHeadrace

    def run(self, script: str, given: str = "") -> str:
        """Run a script as a shell would and return what it printed; raises AssertionError when it fails."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, self.server.base_url)],
            cwd=self.checkout,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)},  # noqa: TID251 - a child's environment
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, smollm_path: Path) -> Iterator[Reader]:
    home = tmp_path_factory.mktemp("reader")
    checkout = home / "headrace"
    checkout.mkdir()
    (checkout / ".venv").symlink_to(sys.prefix)
    server = RunningHeadrace(home / ".headrace", {"HOME": str(home)})
    server.home.mkdir()
    server.take_weights(weights_cache)
    with server:
        assert smollm_path.is_file()
        yield Reader(home, checkout, server)


def blocks(language: str) -> list[str]:
    """README's code blocks in a language that are meant to be run here."""
    found = [body for name, body in BLOCK.findall(README) if name == language]
    return [body for body in found if not body.startswith(RUN_ELSEWHERE)]


@pytest.mark.timeout(240)
def test_every_block_runs_as_it_stands(reader: Reader) -> None:
    chat, first_request, router, deployment, receipt = blocks("")
    (program,) = blocks("python")

    said = reader.run(chat)
    found = re.search(r"\$0\.0\S*[^\n]*headrace receipt (req_[0-9a-f]+)", said)
    assert found, said

    answer = reader.run(first_request)
    assert '"object":"chat.completion"' in answer.replace(" ", "")

    exports = "\n".join(line for line in first_request.splitlines() if not line.startswith(("curl", "  -")))
    streamed = reader.run(f"{exports}\n.venv/bin/python - <<'END'\n{program}END\n")
    assert "CompletionUsage(completion_tokens=" in streamed.splitlines()[-1]

    routed = reader.run(router)
    assert "router:support is live." in routed
    assert "→ smollm2-135m" in routed
    assert "nothing was called" in routed

    deployed = reader.run(deployment)
    for part in ("prod-llm is active.", "headrace receipt req_", "prod-llm"):
        assert part in deployed
    # Its replicas would outlive the server, and so this test.
    assert "prod-llm is deleted." in reader.run(".venv/bin/headrace deployments delete prod-llm")

    account = reader.run(receipt.replace("REQUEST_ID", found[1]))
    for part in ("attempt 1", "tokens", "embedded/smollm2-135m@", "cost", "sha256"):
        assert part in account


@pytest.mark.timeout(240)
def test_every_everyday_command_runs(reader: Reader) -> None:
    commands = ROW.findall(README)
    assert len(commands) >= 6
    for command in commands:
        if TOO_LARGE_FOR_A_TEST in command:
            model = command.rpartition(" ")[2]
            assert f'id = "{model}"' in (Path(catalog_module).parent / "providers/embedded.toml").read_text()
            continue
        script = f".venv/bin/{command.replace('FILE', 'copy.backup')}"
        assert reader.run(script, "sk-not-a-real-key\n").strip()
        if command.startswith("headrace backup"):
            assert (reader.checkout / "copy.backup").stat().st_size > 0


def test_the_other_blocks_run_elsewhere() -> None:
    elsewhere = [body for _, body in BLOCK.findall(README) if body.startswith(RUN_ELSEWHERE)]
    first, *others = elsewhere
    assert first == "git clone REPOSITORY headrace && cd headrace && make run\n"
    integration = (ROOT / ".ci/run").read_text().splitlines()
    assert {line for body in others for line in body.splitlines()} <= set(integration)


@pytest.mark.parametrize(("folder", "word"), SELECTED.findall(README))
def test_the_tests_that_readme_points_at_exist(folder: str, word: str) -> None:
    files = list((ROOT / folder).glob("test_*.py"))
    assert any(word in file.name or re.search(rf"def test_\w*{word}", file.read_text()) for file in files)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_verbs_exist(document: Path) -> None:
    known = {" ".join(path) for path, _, _ in COMMANDS} | {f"models {name}" for name in models.APP}
    groups = {name for name, _ in GROUPS}
    code = "\n".join(CODE.findall(document.read_text()))
    unknown: list[str] = []
    for words in MENTION.findall(code):
        first = words.partition(" ")[0]
        exact = first in groups or words.startswith("models ")
        if (words if exact else first) not in known and words not in groups:
            unknown.append(words)
    assert not unknown
