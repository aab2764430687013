"""How long a decision takes inside the server, alone and beside streams: `python -m benchmarks.routing.latency`.

    python -m benchmarks.routing.latency --home HOME

The server runs on one core, as in `make bench`; upstream and clients have the other. Decisions are asked one after the
other over HTTP; what is told is the server's own measure of each, from the call to its plan.
"""

import argparse
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import targets
from benchmarks.calls import fetch
from benchmarks.figures import BenchError
from benchmarks.measures import FULL, UNBOUNDED, Bench, Load, run_load
from benchmarks.processes import choose_cores
from benchmarks.routing.data import rows_of
from benchmarks.routing.reading import weights_paths
from benchmarks.run import work_directory
from benchmarks.toolchain import build_programs
from benchmarks.workloads import PACED
from headrace.domain.intervals import quantile_interval

OWN_DATA = Path(__file__).parents[2] / "tests" / "data" / "routing"
TASKS = Path(__file__).parents[2] / "src" / "headrace" / "catalog" / "tasks"
STREAMS = (0, 16)
DECISIONS, READY_SECONDS = 600, 120.0
LONG_WORDS = 200_000


class _Decision(msgspec.Struct, frozen=True):
    basis: str
    decided_ms: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing.latency", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("~/.headrace"), help="home with the encoder's weights")
    home = parser.parse_args(arguments).home.expanduser()
    programs, cores = build_programs(), choose_cores()
    os.sched_setaffinity(0, {cores.load})
    with work_directory() as directory, targets.upstream(programs.upstream, cores, directory) as direct:
        bench = Bench(programs.load_generator, direct.port, cores, directory, FULL)
        with targets.headrace(direct.port, cores, directory) as (target, files):
            _lend_weights(home, directory / "headrace-home")
            admin = f"Bearer {files.admin_token}"
            _make_router(target, admin)
            _wait_until_read(target, admin)
            for streams in STREAMS:
                print(_line(streams, _measure(bench, target, admin, streams)), flush=True)  # noqa: T201 - its purpose
    return 0


def _lend_weights(home: Path, to: Path) -> None:
    for path in weights_paths(home):
        copy = to / path.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _make_router(target: targets.Target, admin: str) -> None:
    model = target.models[PACED.name]
    policies = [{"task_slug": file.stem, "models": [model]} for file in sorted(TASKS.glob("*.toml"))]
    body = {"name": "bench", "policies": policies, "fallback_models": [model]}
    status, reply = fetch(target.port, "/v2/gen-ai/models/routers", admin, msgspec.json.encode(body))
    if status != 200:
        raise BenchError(f"no router could be made: {reply.decode(errors='replace')}")


def _wait_until_read(target: targets.Target, admin: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_read(target, admin):
        if time.monotonic() > deadline:
            raise BenchError("the prompt could not be read: are the encoder's weights in --home?")
        time.sleep(1)


def _is_read(target: targets.Target, admin: str) -> bool:
    """A first decision waits for the background to be made, longer than a call is waited for here."""
    try:
        return _decide(target, admin, "Is it ready?").basis != "unread"
    except TimeoutError:
        return False


def _measure(bench: Bench, target: targets.Target, admin: str, streams: int) -> list[float]:
    """Decide while so many paced streams run; they are begun again until all is decided."""
    done = threading.Event()

    def stream() -> None:
        while streams and not done.is_set():
            run_load(bench, target, Load(PACED, "stream", streams, UNBOUNDED, 5_000))

    beside = threading.Thread(target=stream)
    beside.start()
    try:
        time.sleep(1.0 if streams else 0.0)
        return [_decide(target, admin, prompt).decided_ms for prompt in _prompts(streams)]
    finally:
        done.set()
        beside.join()


def _prompts(streams: int) -> Iterator[str]:
    """Yield prompts that were never read before: eleven languages, one in four twice as long, one in forty huge."""
    texts = [row["text"] for row in rows_of(OWN_DATA / "languages.jsonl")]
    for number in range(DECISIONS):
        text = f"{texts[number % len(texts)]} ({number}.{streams}.{os.getpid()})"
        yield f"{text} {'word ' * LONG_WORDS}" if number % 40 == 0 else f"{text} {text}" if number % 4 == 0 else text


def _decide(target: targets.Target, admin: str, prompt: str) -> _Decision:
    body = {"model": "router:bench", "messages": [{"role": "user", "content": prompt}]}
    status, reply = fetch(target.port, "/v1/routing/decisions", admin, msgspec.json.encode(body))
    if status != 200:
        raise BenchError(f"no decision: {reply.decode(errors='replace')}")
    return msgspec.json.decode(reply, type=_Decision)


def _line(streams: int, milliseconds: list[float]) -> str:
    p50, p99 = quantile_interval(milliseconds, 0.5), quantile_interval(milliseconds, 0.99)
    if p50 is None or p99 is None:
        raise BenchError("nothing was decided")
    return (
        f"{streams:>3} streams  {len(milliseconds)} decisions  p50 {p50.value:.2f} ms ({p50.low:.2f}-{p50.high:.2f})"
        f"  p99 {p99.value:.2f} ms ({p99.low:.2f}-{p99.high:.2f})  max {max(milliseconds):.2f} ms"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
