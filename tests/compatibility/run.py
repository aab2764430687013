"""`make compat`: starts the server over real and fake upstreams, runs every foreign client, writes results and page."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.testing.upstream import running_upstream
from tests.compatibility import environments, matrix
from tests.compatibility.matrix import Cell, Results
from tests.compatibility.provider import provider
from tests.running import RunningHeadrace
from tests.weights_fixtures import MINILM, MINILM_TOKENIZER, SMOLLM, pulled

CLIENT_SECONDS = 900
EMBEDDED = {"upstream": "embedded", "chat": "smollm2-135m", "embedding": "all-minilm-l6-v2"}
ADAPTERS = {"chat": None, "responses": "openai_responses", "messages": "anthropic"}
VOLATILE = re.compile(r"\b(?:req|resp|msg|chatcmpl)_[\w-]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|127\.0\.0\.1:\d+")


def python_client(name: str) -> Callable[[], list[str]]:
    """Return how a Python client is run, its environment made first."""
    return lambda: [str(environments.python_environment(name)), "-m", f"tests.compatibility.clients.{name}_client"]


def node_client(name: str) -> Callable[[], list[str]]:
    """Return how an npm client is run, its packages installed first."""
    return lambda: ["node", str(environments.node_program(name))]


CLIENTS: tuple[tuple[str, tuple[str, ...], Callable[[], list[str]]], ...] = (
    ("langchain", (), python_client("langchain")),
    ("pydo", ("--tls",), python_client("pydo")),
    ("ai", (), node_client("ai")),
    ("litellm", (), python_client("litellm")),
    ("openai", (), python_client("openai")),
    ("anthropic", (), python_client("anthropic")),
    ("openai-npm", (), node_client("openai")),
)


def weights() -> Path:
    """Return the folder of real weights, pulled when they are not there."""
    setting = os.environ.get("HEADRACE_TEST_WEIGHTS")  # noqa: TID251 - a setting of the tests, not of the product
    cache = Path(setting) if setting else Path.home() / ".cache" / "headrace-tests"
    for file in (SMOLLM, MINILM, MINILM_TOKENIZER):
        pulled(cache, file)
    return cache


def add_providers(server: RunningHeadrace, base_url: str) -> None:
    """Let the home know the fake upstream in each dialect, and that the operator trusts the small model with a tool."""
    for dialect, adapter in ADAPTERS.items():
        server.add_provider(f"fake-{dialect}", base_url, f"fake-{dialect}", adapter=adapter)
        edit(
            server,
            f"fake-{dialect}",
            '"streaming", ',
            '"streaming", "image_input", "parallel_tool_calls", "reasoning", ',
        )
    server.add_provider("fake-embedding", base_url, "fake-embedding")
    edit(server, "fake-embedding", 'kind = "chat"', 'kind = "embedding"\ndimensions = 8')
    for line in ("capabilities = ", "max_output_tokens = ", "cache_read = ", "output = "):
        edit(server, "fake-embedding", rf"(?m)^{line}.*\n", "", pattern=True)
    (server.home / "catalog" / "embedded.toml").write_text(
        f'[provider]\nname = "embedded"\n[[models]]\nid = "{EMBEDDED["chat"]}"\n'
        'best_effort = ["tools", "tool_choice"]\n'
    )


def edit(server: RunningHeadrace, name: str, old: str, new: str, *, pattern: bool = False) -> None:
    """Replace something in a provider's file."""
    file = server.home / "catalog" / f"{name}.toml"
    text = file.read_text()
    changed = re.sub(old, new, text) if pattern else text.replace(old, new)
    assert changed != text, f"{name}.toml has no {old!r}"
    file.write_text(changed)


@contextmanager
def running(arguments: tuple[str, ...]) -> Generator[dict[str, Any]]:
    """Start an installation with all upstreams; yields the job that its clients read."""
    with tempfile.TemporaryDirectory(prefix="headrace-compat-") as folder, running_upstream(provider) as upstream:
        server = RunningHeadrace(Path(folder) / "home", arguments=arguments)
        server.take_weights(weights())
        add_providers(server, upstream.base_url)
        with server:
            trusted = re.search(r"Clients must trust: (.*)", server.output)
            fakes = [{"upstream": name, "chat": f"fake-{name}", "embedding": f"fake-{name}"} for name in ADAPTERS]
            fakes[0]["embedding"] = "fake-embedding"
            yield {
                "base_url": server.base_url,
                "api_key": server.api_key,
                "admin_token": server.admin_token,
                "authority": str(Path(trusted[1].strip()).expanduser()) if trusted else "",
                "targets": [EMBEDDED, *fakes],
            }


def cells_of(command: Sequence[str], arguments: tuple[str, ...]) -> list[Cell]:
    """Run one client's program against a server of its own; raises when the program itself fails."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251 - a child's environment
    settings = {"PYTHONPATH": str(environments.ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "AI_SDK_LOG_WARNINGS": ""}
    with running(arguments) as job:
        done = subprocess.run(
            command,
            input=json.dumps(job),
            env={**inherited, **settings},
            stdout=subprocess.PIPE,
            text=True,
            timeout=CLIENT_SECONDS,
            check=True,
            cwd=environments.ROOT,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"client"')]
    return [Cell(**{**line, "detail": VOLATILE.sub("…", line["detail"])}) for line in lines]


def main() -> int:
    """Run the clients; returns 1 when a cell is empty, fails, or is refused without a listed reason."""
    parser = argparse.ArgumentParser(prog="make compat", description=main.__doc__)
    parser.add_argument("--only", choices=[name for name, *_ in CLIENTS], help="run one client and write nothing")
    only = parser.parse_args().only
    cells: list[Cell] = []
    for name, arguments, command in CLIENTS:
        if only in {None, name}:
            cells += cells_of(command(), arguments)
            sys.stderr.write(f"{name}: {len(cells)} cells so far\n")
    refusals = matrix.read_refusals(matrix.REFUSALS.read_text())
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    ran = {"headrace": __version__, "python": sys.version.split()[0], "node": node}
    versions = {**ran, **environments.versions()}
    results = Results(time.strftime("%Y-%m-%d", time.gmtime()), versions, tuple(cells))
    if only is None:
        matrix.RESULTS.write_text(matrix.write_results(results))
        matrix.PAGE.write_text(matrix.page(results, refusals))
    found = matrix.complaints(results, refusals if only is None else matrix.used_of(results, refusals))
    sys.stderr.write("".join(f"{each}\n" for each in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
