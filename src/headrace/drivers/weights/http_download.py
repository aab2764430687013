"""One download over HTTP: ranges to go on where an earlier one broke, redirects to https only.

The operator's proxy settings and certificates apply, as the HTTP client reads them from the environment.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import httpx2

from headrace.domain.errors import (
    ConfigInvalid,
    UpstreamError,
    UpstreamProtocol,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from headrace.drivers.weights.partial import BLOCK_BYTES, PartialFile

MAX_REDIRECTS = 5
UNREACHABLE = "source_unreachable"

_RANGE_START = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for a connection, for an answer's head, and between two blocks of its body."""

    connect_seconds: float
    head_seconds: float
    stall_seconds: float


def limits(connect_seconds: float, head_seconds: float, stall_seconds: float) -> Limits:
    """Return the limits of a download."""
    return Limits(connect_seconds, head_seconds, stall_seconds)


async def download(address: str, partial: PartialFile, limits: Limits) -> None:
    """Write what is missing of the file; raises UpstreamError, with code UNREACHABLE for a silent host."""
    url = _url(address)
    _check(url)
    try:
        # Reading the trusted certificates takes a tenth of a second.
        async with await partial.offload.run(_client, limits) as client:
            await _download(client, url, partial, limits)
    except httpx2.HTTPError as error:
        raise _failure(error, limits) from error


def _client(limits: Limits) -> httpx2.AsyncClient:
    timeout = httpx2.Timeout(limits.stall_seconds, connect=limits.connect_seconds)
    return httpx2.AsyncClient(timeout=timeout, trust_env=True)


async def _download(client: httpx2.AsyncClient, url: httpx2.URL, partial: PartialFile, limits: Limits) -> None:
    async with _opened(client, url, partial.position, limits) as response:
        if response.status_code == 416:
            await partial.restart()
            raise UpstreamProtocol("It no longer has the range that was asked for; what was here is dropped.")
        if response.status_code not in (200, 206):
            raise UpstreamUnavailable(f"It answered {response.status_code} {response.reason_phrase}.")
        await _position(partial, response)
        async for block in response.aiter_raw(BLOCK_BYTES):
            await partial.write(block)


@asynccontextmanager
async def _opened(
    client: httpx2.AsyncClient, url: httpx2.URL, start: int, limits: Limits
) -> AsyncGenerator[httpx2.Response]:
    headers = {"accept-encoding": "identity"}
    if start:
        headers["range"] = f"bytes={start}-"
    request = client.build_request("GET", url, headers=headers)
    for _ in range(MAX_REDIRECTS + 1):
        response = await _send(client, request, limits.head_seconds)
        try:
            if response.next_request is None:
                yield response
                return
            request = response.next_request
            _check(request.url)
        finally:
            await response.aclose()
    raise UpstreamProtocol(f"It redirected more than {MAX_REDIRECTS} times.")


async def _send(client: httpx2.AsyncClient, request: httpx2.Request, head_seconds: float) -> httpx2.Response:
    try:
        async with asyncio.timeout(head_seconds):
            return await client.send(request, stream=True)
    except TimeoutError as error:
        raise UpstreamTimeout(f"It did not answer within {head_seconds:g} s.") from error


async def _position(partial: PartialFile, response: httpx2.Response) -> None:
    if response.status_code == 200:
        await partial.restart()
        return
    start = _RANGE_START.match(response.headers.get("content-range", ""))
    if start is None or int(start[1]) != partial.position:
        await partial.restart()
        raise UpstreamProtocol("It answered with another range than the one that was asked for.")


def _url(address: str) -> httpx2.URL:
    try:
        return httpx2.URL(address)
    except httpx2.InvalidURL as error:
        raise ConfigInvalid(f"It is not an address: {error}.") from error


def _check(url: httpx2.URL) -> None:
    if url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host)):
        return
    raise UpstreamProtocol(f'"{url.scheme}://{url.host}" is not https, so it is not used.')


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failure(error: httpx2.HTTPError, limits: Limits) -> UpstreamError:
    match error:
        case httpx2.ConnectTimeout():
            message = f"It could not be reached within {limits.connect_seconds:g} s."
            return UpstreamTimeout(message, code=UNREACHABLE)
        case httpx2.ConnectError():
            return UpstreamUnavailable(f"It could not be reached: {error}.", code=UNREACHABLE)
        case httpx2.ReadTimeout():
            return UpstreamTimeout(f"It sent nothing for {limits.stall_seconds:g} s.")
        case _:
            return UpstreamUnavailable(f"The download broke: {error or type(error).__name__}.")
