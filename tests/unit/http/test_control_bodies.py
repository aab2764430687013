"""Bodies of the control plane: large ones are read beside the event loop where there is a pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pytest

from headrace.http.edge import OFFLOAD_BYTES
from headrace.http.routing import Request
from headrace.wire.json_strict import encode

pytestmark = pytest.mark.anyio
P = ParamSpec("P")
T = TypeVar("T")
SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}


class Pool:
    """Runs in place and counts."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.runs += 1
        return work(*args, **kwargs)


def a_request(body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(dict(SCOPE), receive, "req_1", None)


@pytest.mark.parametrize(("size", "runs"), [(OFFLOAD_BYTES - 100, 0), (OFFLOAD_BYTES + 1, 1)])
async def test_a_large_body_is_read_in_the_pool(size: int, runs: int) -> None:
    pool, body = Pool(), {"content": "x" * size}
    assert await a_request(encode(body)).fields({"content"}, 2 * OFFLOAD_BYTES, pool) == body
    assert pool.runs == runs


async def test_without_a_pool_it_is_read_in_place() -> None:
    body = {"content": "x" * OFFLOAD_BYTES}
    assert await a_request(encode(body)).fields({"content"}, 2 * OFFLOAD_BYTES) == body
