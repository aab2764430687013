"""Examples are tests: each runs as its first line says, against a real server with real models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningHeadrace, headrace

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNS = {
    "stream_chat.py": ("smollm2-135m", "cost_nano_usd"),
    "similar_texts.py": ("all-minilm-l6-v2", "I cannot log in."),
    "three_modes.py": ("smollm2-135m", " answers, 0 failed requests"),
}
# What it makes is the operator's to make.
AS_OPERATOR = frozenset({"three_modes.py"})
OWN = "three-modes-own"
SECONDS = 500


@pytest.fixture
def server(
    tmp_path: Path, weights_cache: Path, smollm_path: Path, minilm_paths: tuple[Path, Path]
) -> Iterator[RunningHeadrace]:
    running = RunningHeadrace(tmp_path / "home")
    running.take_weights(weights_cache)
    # Fifty streams of one processor: where others use it too, the last of them waits long.
    (running.home / "headrace.toml").write_text(f"[limits]\nfirst_event_seconds = {SECONDS}\n")
    with running:
        yield running
        # What an example that was cut short has left: its replicas would outlive the server.
        if headrace("deployments", "show", OWN, home=running.home).returncode == 0:
            headrace("deployments", "delete", OWN, home=running.home)


def test_every_example_is_run() -> None:
    assert {each.name for each in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_example_does_what_it_says(name: str, server: RunningHeadrace) -> None:
    model, expected = RUNS[name]
    path = {"PATH": os.environ["PATH"]}  # noqa: TID251 - a child's environment
    credential = server.admin_token if name in AS_OPERATOR else server.api_key
    access = {"OPENAI_BASE_URL": f"{server.base_url}/v1", "OPENAI_API_KEY": credential}
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / name), model],
        env={**path, **access},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    assert expected in ran.stdout
