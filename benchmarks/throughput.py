"""Requests a second and CPU per request under load, of several processes of each target.

One process differs from another of the same code, and the machine from one minute to the next. So both gateways are
started anew for each pair and asked right after one another on the same core.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from benchmarks.measures import LOADED_CONCURRENCY, UNBOUNDED, Bench, Costed, Load, run_costed
from benchmarks.targets import Target
from benchmarks.workloads import UNARY

Starter = Callable[[], AbstractContextManager[Target]]


def measure_pairs(bench: Bench, starters: Mapping[str, Starter]) -> dict[str, list[Costed]]:
    """Return a run of each process, by the name of its target."""
    found: dict[str, list[Costed]] = {name: [] for name in starters}
    for _ in range(bench.effort.pairs):
        with ExitStack() as stack:
            pair = {name: stack.enter_context(start()) for name, start in starters.items()}
            for target in pair.values():
                run_costed(bench, target, _load(bench.effort.warmup_ms))
            for name, target in pair.items():
                found[name].append(run_costed(bench, target, _load(bench.effort.round_ms)))
    return found


def measure_rounds(bench: Bench, target: Target) -> list[Costed]:
    """Return some runs of a process that is the only one of its target."""
    return [run_costed(bench, target, _load(bench.effort.round_ms)) for _ in range(bench.effort.rounds)]


def _load(duration_ms: int) -> Load:
    return Load(UNARY, "unary", LOADED_CONCURRENCY, UNBOUNDED, duration_ms)
