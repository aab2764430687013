"""From `git clone` to an answer: README's first command with cold caches, the official SDK, receipts.

The commit at HEAD is cloned, so a change that is not committed is not tested here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

ROOT = Path(__file__).parents[2]
FIRST_BLOCK = re.compile(r"^```\n(git clone .*?)^```", re.MULTILINE | re.DOTALL)
LIMIT_SECONDS = 120.0
SILENCE_SECONDS = 90.0
FIRST_MODEL, SECOND_MODEL, ENCODER = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
INHERITED_BY_MAKE = re.compile(
    r"HEADRACE_|MAKE|MFLAGS$|ARGS$|PYTHON.|VIRTUAL_ENV$|PYTEST_|COV_|GIT_(?:DIR|WORK|INDEX)|XDG_CACHE_HOME$"
)
PRICE_VERSION = re.compile(r"embedded/[a-z0-9.-]+@\d{4}-\d{2}-\d{2}#[0-9a-f]{8}")
RECEIPT_WAIT_SECONDS = 30


class Output:
    """What a process prints, line by line with the time of each line; a thread reads it to its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def seen(self, text: str, timeout_seconds: float) -> float:
        """Wait for a line that holds the text and return when it came; raises AssertionError with all that was said."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._time_of(text) is not None, timeout_seconds)
            found = self._time_of(text)
        assert found is not None, f'"{text}" was not said; said was:\n{self.text}'
        return found

    @property
    def text(self) -> str:
        """Everything that was said so far."""
        return "".join(line for _, line in tuple(self._lines))

    def join(self) -> None:
        """Wait for the end of the output."""
        self._thread.join(SILENCE_SECONDS)

    def _time_of(self, text: str) -> float | None:
        return next((at for at, line in self._lines if text in line), None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append((time.monotonic(), line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def cold_environment(folder: Path) -> dict[str, str]:
    """The developer's environment (an index, a proxy) without caches, our own settings and make's."""
    inherited = os.environ.items()  # noqa: TID251 - a child's environment
    kept = {name: value for name, value in inherited if not INHERITED_BY_MAKE.match(name)}
    cold = {"PIP_NO_CACHE_DIR": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    return kept | cold | {"HEADRACE_HOME": str(folder / "home"), "HEADRACE_PORT": "0"}


@contextmanager
def first_command(
    folder: Path, environment: Mapping[str, str]
) -> Generator[tuple[subprocess.Popen[str], Output], None, None]:
    """README's first command in a session of its own, so that nothing of it outlives the test."""
    found = FIRST_BLOCK.search((ROOT / "README.md").read_text())
    assert found is not None
    process = subprocess.Popen(
        ["sh", "-c", found[1].replace("REPOSITORY", f"--quiet --no-hardlinks '{ROOT}'")],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output = Output(process)
    try:
        yield process, output
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SILENCE_SECONDS)
        output.join()
        if process.stdout is not None:
            process.stdout.close()


def sdk(credentials: Mapping[str, str]) -> openai.OpenAI:
    """The official client with nothing but an address and a key."""
    return openai.OpenAI(
        base_url=f"{credentials['base_url']}/v1", api_key=credentials["api_key"], timeout=SILENCE_SECONDS, max_retries=0
    )


def streamed_answer(client: openai.OpenAI, model: str) -> tuple[float, str]:
    """Stream one completion; return when its first content came and the request's id."""
    first: float | None = None
    chunks: list[Any] = []
    with client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say hello in five words."}],
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        request_id = stream.response.headers["x-request-id"]
        for chunk in stream:
            if first is None and chunk.choices and chunk.choices[0].delta.content:
                first = time.monotonic()
            chunks.append(chunk)
    assert first is not None, "the stream had no content"
    assert {chunk.model for chunk in chunks} == {model}
    usage = chunks[-1].usage
    assert usage is not None and usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    return first, request_id


def embedded_texts(client: openai.OpenAI) -> str:
    """Embed two texts and return the request's id."""
    raw = client.embeddings.with_raw_response.create(model=ENCODER, input=["a mill race", "a river"])
    vectors = [each.embedding for each in raw.parse().data]
    assert [len(vector) for vector in vectors] == [384, 384]
    assert all(abs(sum(part * part for part in vector) - 1) < 1e-3 for vector in vectors)
    assert vectors[0] != vectors[1]
    request_id: str = raw.headers["x-request-id"]
    return request_id


def await_model(credentials: Mapping[str, str], model: str) -> None:
    """Join the pull that `make run` began; as long as it goes on, every silence is bounded."""
    headers = {"authorization": f"Bearer {credentials['admin_token']}"}
    client = httpx2.Client(base_url=credentials["base_url"], headers=headers, timeout=SILENCE_SECONDS, trust_env=False)
    with client, client.stream("POST", f"/v2/models/{model}/pull") as reply:
        assert reply.status_code == 200
        events = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    assert events[-1] == {"done": True, "model": model}


def check_receipt(clone: Path, environment: Mapping[str, str], request_id: str, model: str) -> None:
    """`headrace receipt` for people and for machines: attempts, token classes, price version, cost."""
    command = [str(clone / ".venv/bin/headrace"), "receipt", request_id]

    def shown(*more: str) -> str:
        done = subprocess.run(
            [*command, *more],
            env=environment,
            capture_output=True,
            text=True,
            timeout=RECEIPT_WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    receipt = json.loads(shown("--json"))
    (attempt,) = receipt["attempts"]
    assert (receipt["id"], receipt["status"], receipt["served_by"]) == (request_id, 200, model)
    assert (attempt["state"], attempt["ending"], attempt["provider"]) == ("settled", "complete", "embedded")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", attempt["identity"])
    assert PRICE_VERSION.fullmatch(attempt["price"]["version"])
    kinds = {line["kind"] for line in attempt["lines"]}
    assert kinds <= {"input_fresh", "input_cache_read", "output_text"} and kinds
    assert ("output_text" in kinds) is (model != ENCODER)
    assert receipt["cost_nano_usd"] == sum(line["cost_nano_usd"] for line in attempt["lines"]) > 0

    text = shown()
    digest = attempt["identity"].removeprefix("sha256:")
    for part in ("attempt 1", model, "tokens", attempt["price"]["version"], "cost", digest):
        assert part in text


@pytest.mark.timeout(300)
def test_from_a_clean_clone_to_receipts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clone = tmp_path / "headrace"
    environment = cold_environment(tmp_path)
    began = time.monotonic()
    with first_command(tmp_path, environment) as (process, output):
        cloned = output.seen("installing into .venv", LIMIT_SECONDS)
        installed = output.seen("pulling ", LIMIT_SECONDS)
        pulled = output.seen("pulling SmolLM2-135M-Instruct.Q4_1.gguf  100 %", LIMIT_SECONDS)
        ready = output.seen("Headrace is ready.", LIMIT_SECONDS)
        credentials = json.loads((tmp_path / "home/credentials.json").read_text())
        client = sdk(credentials)
        first_byte, first_request = streamed_answer(client, FIRST_MODEL)
        steps = {
            "clone, venv": cloned,
            "install": installed,
            "weights": pulled,
            "ready": ready,
            "first byte": first_byte,
        }
        before = began
        with capsys.disabled():
            for name, at in steps.items():
                print(f"\n  {name:<12} {at - before:6.1f} s", end="")  # noqa: T201 - the measurement itself
                before = at
            print(f"\n  in all       {first_byte - began:6.1f} s of {LIMIT_SECONDS:.0f}")  # noqa: T201 - as above
        assert first_byte - began <= LIMIT_SECONDS

        requests = {first_request: FIRST_MODEL}
        for model in (ENCODER, SECOND_MODEL):
            await_model(credentials, model)
        assert {FIRST_MODEL, SECOND_MODEL, ENCODER} <= {each.id for each in client.models.list()}
        requests[streamed_answer(client, SECOND_MODEL)[1]] = SECOND_MODEL
        requests[embedded_texts(client)] = ENCODER
        client.close()
        for request_id, model in requests.items():
            check_receipt(clone, environment, request_id, model)

        os.kill(int((tmp_path / "home/headrace.lock").read_text()), signal.SIGTERM)
        assert process.wait(SILENCE_SECONDS) == 0, output.text
