"""`make bench`: builds, starts and measures one target after the other, prints the table and the verdict."""

import argparse
import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from benchmarks import targets
from benchmarks.calls import fetch, metric_samples, upstream_stats
from benchmarks.data_plane import measure_data_plane
from benchmarks.figures import BenchError, DataPlane, Figures, LedgerFacts, Metering, Report
from benchmarks.measures import FULL, QUICK, Bench, Costed, measure
from benchmarks.metering import measure_metering
from benchmarks.processes import Cores, choose_cores
from benchmarks.table import render, verdicts
from benchmarks.throughput import Starter, measure_pairs, measure_rounds
from benchmarks.toolchain import BUILD, build_programs, commit, install_litellm, run_command

PEERS = ("litellm", "headrace")
SYNCHRONOUS_NAMES = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
CANNOT_MEASURE = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    only: tuple[str, ...]
    quick: bool
    json_file: Path | None


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Headrace against direct and LiteLLM.")
    parser.add_argument("--quick", action="store_true", help="one short round each, fewer streams")
    parser.add_argument("--only", default=",".join(PEERS), help="targets beside direct: litellm,headrace")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write all figures there")
    found = parser.parse_args(arguments)
    only = tuple(name.strip() for name in str(found.only).split(",") if name.strip())
    unknown = sorted(set(only) - set(PEERS) - {"direct"})
    if unknown:
        parser.error(f"--only knows {', '.join(PEERS)}; not {', '.join(unknown)}")
    json_file: Path | None = found.json
    return Options(only, bool(found.quick), json_file.resolve() if json_file else None)


def say(line: str) -> None:
    """Tell what is going on now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def machine() -> str:
    """Return processor, kernel and Python in a line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, Linux {platform.release()}, Python {platform.python_version()}"


def filesystem(path: Path) -> str:
    """Return the kind of file system that holds a path: commits on tmpfs cost nothing."""
    kinds: dict[str, str] = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, *_ = line.split()
        if path.is_relative_to(mount):
            kinds[mount] = kind
    return kinds[max(kinds, key=len)] if kinds else "unknown"


def _synchronous(text: str) -> str | None:
    samples = metric_samples(text, "headrace_ledger_synchronous")
    for labels, value in samples:
        named = [name for name in SYNCHRONOUS_NAMES.values() if f'"{name}"' in labels.upper()]
        if named and value:
            return named[0]
        if not named:
            return SYNCHRONOUS_NAMES.get(int(value))
    return None


def ledger_facts(target: targets.Target, files: targets.HeadraceFiles, requests: int, home: Path) -> LedgerFacts:
    """Ask Headrace's metrics how its ledger commits.

    SQLite keeps the synchronous setting per connection, not in the file: only the server can tell.
    """
    status, body = fetch(target.port, "/metrics", f"Bearer {files.admin_token}")
    text = body.decode(errors="replace") if status == 200 else ""
    commits = [value for _, value in metric_samples(text, "headrace_ledger_commits_total")]
    return LedgerFacts(
        synchronous=_synchronous(text),
        commits=int(sum(commits)) if commits else None,
        requests=requests,
        filesystem=filesystem(home),
    )


@dataclass(frozen=True, slots=True)
class Headrace:
    """Headrace's figures and what its ledger said."""

    figures: Figures
    ledger: LedgerFacts
    data_plane: DataPlane
    metering: Metering


def starters(bench: Bench, python: Path | None, only: Sequence[str]) -> dict[str, Starter]:
    """Return how each gateway that is asked for is started."""
    places = bench.upstream_port, bench.cores, bench.directory

    @contextlib.contextmanager
    def headrace() -> Generator[targets.Target]:
        with targets.headrace(*places) as (target, _):
            yield target

    found: dict[str, Starter] = {}
    if python is not None:
        found["litellm"] = lambda: targets.litellm(python, *places)
    if "headrace" in only:
        found["headrace"] = headrace
    return found


def measure_litellm(bench: Bench, start: Starter, loads: Sequence[Costed]) -> Figures:
    """Start, measure and stop LiteLLM's proxy."""
    say("measuring LiteLLM")
    with start() as target:
        return measure(bench, target, loads)


def measure_headrace(bench: Bench, loads: Sequence[Costed]) -> Headrace:
    """Start, measure and stop Headrace."""
    say("measuring Headrace")
    with targets.headrace(bench.upstream_port, bench.cores, bench.directory) as (target, files):
        before = upstream_stats(bench.upstream_port).requests
        figures = measure(bench, target, loads)
        requests = upstream_stats(bench.upstream_port).requests - before
        ledger = ledger_facts(target, files, requests, bench.directory)
        data_plane = measure_data_plane(bench, target)
    say("measuring what metering adds")
    return Headrace(figures, ledger, data_plane, measure_metering(bench))


@contextlib.contextmanager
def work_directory() -> Generator[Path]:
    """Give a directory on the checkout's own disk, because a commit to a memory file system costs nothing."""
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=BUILD))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _cores_text(cores: Cores) -> str:
    if cores.target == cores.load:
        return f"target, upstream and load generator share core {cores.target}: the figures are rough"
    return f"target on {cores.target}, upstream and load generator on {cores.load}"


def _litellm_flags() -> str:
    settings = " ".join(f"{name}={value}" for name, value in targets.LITELLM_ENVIRONMENT.items())
    return f"`{settings} litellm {' '.join(targets.litellm_flags())}`, master key, no database"


def _litellm_version(python: Path) -> str:
    code = "import importlib.metadata; print(importlib.metadata.version('litellm'))"
    return run_command((str(python), "-c", code), "read LiteLLM's version", 60).strip()


def run(options: Options) -> Report:
    """Measure everything that the options ask for."""
    programs = build_programs()
    python = install_litellm() if "litellm" in options.only else None
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.load})
    with work_directory() as directory, targets.upstream(programs.upstream, cores, directory) as direct:
        bench = Bench(programs.load_generator, direct.port, cores, directory, QUICK if options.quick else FULL)
        say("measuring direct")
        figures = measure(bench, direct, measure_rounds(bench, direct))
        say("measuring throughput")
        started = starters(bench, python, options.only)
        loads = measure_pairs(bench, started)
        peer = measure_litellm(bench, started["litellm"], loads["litellm"]) if python else None
        ours = measure_headrace(bench, loads["headrace"]) if "headrace" in options.only else None
    return Report(
        commit=commit(),
        machine=machine(),
        cores=_cores_text(cores),
        quick=options.quick,
        litellm_version=_litellm_version(python) if python else None,
        litellm_flags=_litellm_flags() if python else None,
        ledger=ours.ledger if ours else None,
        direct=figures,
        litellm=peer,
        headrace=ours.figures if ours else None,
        data_plane=ours.data_plane if ours else None,
        metering=ours.metering if ours else None,
    )


def _on_terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)  # unwinds, so that what was started is stopped


def main(arguments: Sequence[str]) -> int:
    """Run the measurement; 0: every judged bar is met, 1: one is missed, 2: it could not be done."""
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        report = run(options)
    except BenchError as error:
        sys.stderr.write(f"make bench: {error}\n")
        return CANNOT_MEASURE
    except KeyboardInterrupt:
        sys.stderr.write("make bench: interrupted\n")
        return 130
    if options.json_file:
        options.json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    sys.stdout.write(f"\n{render(report)}")
    return 1 if any(verdict.met is False for verdict in verdicts(report)) else 0
