"""What the suites of every store share: each kind of store in turn, and no database left behind."""

from collections.abc import Iterator

import pytest

from tests.contract.ledger_books import STORES, OpenStore
from tests.postgres_server import drop_databases, postgres_server


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the server before the first test's time runs, when any test wants it."""
    if any("postgres" in item.nodeid for item in session.items) and not session.config.option.collectonly:
        postgres_server()


@pytest.fixture(params=STORES.values(), ids=list(STORES))
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Return what opens the store of a home, once for each kind of store."""
    factory: OpenStore = request.param
    return factory


@pytest.fixture(autouse=True)
def no_databases_left() -> Iterator[None]:
    """Drop the databases that a test has made."""
    yield
    drop_databases()
