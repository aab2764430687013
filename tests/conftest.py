"""Rules of the whole test tree: time limits and network reach by folder, event loop, environment."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

pytest_plugins = ("tests.weights_fixtures",)
TESTS = Path(__file__).parent
# What hangs is found; what is slow on a machine that others use too is no fault.
TIME_LIMIT_SECONDS = {"unit": 20, "contract": 20, "golden": 20, "docs": 30, "e2e": 120}
NO_NETWORK = frozenset({"unit", "golden"})
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class NetworkGuard:
    """Refuses connections of this process that the running test's folder does not allow."""

    def __init__(self) -> None:
        self.folder: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook: raise when a socket connects out of bounds."""
        if event != "socket.connect" or self.folder is None:
            return
        address: object = arguments[1]
        host = str(cast("tuple[object, ...]", address)[0]) if isinstance(address, tuple) else None
        is_local = host is None or host in LOOPBACK or host.startswith("127.")
        if self.folder in NO_NETWORK or not is_local:
            raise AssertionError(f"a test in tests/{self.folder} connected to {address!r}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember whose turn it is."""
        self.folder = folder_of(Path(nodeid.partition("::")[0]))

    def pytest_runtest_logfinish(self) -> None:
        """Lift the guard between tests."""
        self.folder = None


def folder_of(path: Path) -> str | None:
    """Return the first folder below tests, or None for a file right in it."""
    parts = path.parts[path.parts.index("tests") + 1 :]
    return parts[0] if len(parts) > 1 else None


def pytest_configure(config: pytest.Config) -> None:
    guard = NetworkGuard()
    sys.addaudithook(guard)
    config.pluginmanager.register(guard, "network-guard")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        limit = TIME_LIMIT_SECONDS.get(folder_of(item.path.relative_to(TESTS.parent)) or "")
        if limit and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(limit))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the developer's own installation reaches a test."""
    for name in tuple(os.environ):  # noqa: TID251 - the one place where tests touch the environment
        if name.startswith("HEADRACE_"):
            monkeypatch.delenv(name)
    yield
