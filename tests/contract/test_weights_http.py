"""Weights over HTTP from a server on loopback that breaks, lies, moves and stalls."""

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import UpstreamUnavailable
from headrace.drivers.weights.http_source import HttpSource
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Progress
from tests.weights_fixtures import SystemClock, ThreadOffload, ignore

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(1_000_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[[asyncio.StreamWriter, int], None]


def whole(writer: asyncio.StreamWriter, start: int) -> None:
    """The file, or the rest of it when a range was asked for."""
    if start:
        head = f"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n"
    else:
        head = "HTTP/1.1 200 OK\r\n"
    writer.write(f"{head}content-length: {len(CONTENT) - start}\r\n\r\n".encode() + CONTENT[start:])


def without_ranges(writer: asyncio.StreamWriter, start: int) -> None:
    """The whole file whatever was asked for."""
    whole(writer, 0)


def cut(writer: asyncio.StreamWriter, start: int) -> None:
    """Half the file, then the end of the connection."""
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[: 3 << 20])


def tampered(writer: asyncio.StreamWriter, start: int) -> None:
    """The right size, one bit changed."""
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(CONTENT)}\r\n\r\n".encode() + b"\1" + CONTENT[1:])


def missing(writer: asyncio.StreamWriter, start: int) -> None:
    """No such file."""
    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")


def wrong_range(writer: asyncio.StreamWriter, start: int) -> None:
    """Another range than the one asked for."""
    writer.write(b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 7-9/10\r\ncontent-length: 3\r\n\r\nabc")


def beyond(writer: asyncio.StreamWriter, start: int) -> None:
    """The range does not exist any more."""
    writer.write(b"HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n")


def moved_to(location: str) -> Answer:
    """A redirect."""

    def answer(writer: asyncio.StreamWriter, start: int) -> None:
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())

    return answer


def stalled(writer: asyncio.StreamWriter, start: int) -> None:
    """A beginning without an end, on a connection that stays open."""
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[:10])


class FileServer:
    """Answers one script entry per request, the last one again and again; remembers where ranges began."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.starts: list[int] = []
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = re.search(r"^range: bytes=(\d+)-", head, re.MULTILINE | re.IGNORECASE)
            self.starts.append(int(found[1]) if found else 0)
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            answer(writer, self.starts[-1])
            await writer.drain()
            if answer is stalled:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*script: Answer) -> AsyncGenerator[FileServer]:
    files = FileServer(*script)
    server = await asyncio.start_server(files.serve, "127.0.0.1", 0)
    async with server:
        files.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/m.gguf"
        yield files


async def pull(home: Path, addresses: Sequence[str], source: HttpSource | None = None) -> Path:
    file = WeightsFile("m.gguf", SHA256, len(CONTENT), "Apache-2.0", tuple(addresses))
    sources = (source or HttpSource(SystemClock()),)
    return await WeightsStore(home, sources, SystemClock(), ThreadOffload()).pull(file, ignore)


async def refusal(home: Path, addresses: Sequence[str], source: HttpSource | None = None) -> str:
    with pytest.raises(UpstreamUnavailable) as caught:
        await pull(home, addresses, source)
    return caught.value.message


@pytest.mark.anyio
async def test_fetches_the_file_and_reports_progress(tmp_path: Path) -> None:
    seen = list[Progress]()
    async with serving(whole) as server:
        file = WeightsFile("m.gguf", SHA256, len(CONTENT), "Apache-2.0", (server.address,))
        store = WeightsStore(tmp_path, (HttpSource(SystemClock()),), SystemClock(), ThreadOffload())
        path = await store.pull(file, seen.append)
    assert path.read_bytes() == CONTENT
    assert [each.done for each in seen] == sorted({each.done for each in seen})
    assert seen[-1].done == len(CONTENT)


@pytest.mark.anyio
async def test_goes_on_after_a_cut_where_it_was(tmp_path: Path) -> None:
    async with serving(cut, whole) as server:
        path = await pull(tmp_path, [server.address])
    assert path.read_bytes() == CONTENT
    assert server.starts == [0, 3 << 20]


@pytest.mark.anyio
@pytest.mark.parametrize("second", [without_ranges, wrong_range, beyond])
async def test_is_not_confused_by_a_server_that_cannot_resume(tmp_path: Path, second: Answer) -> None:
    async with serving(cut, second, whole) as server:
        path = await pull(tmp_path, [server.address, server.address])
    assert path.read_bytes() == CONTENT
    assert server.starts[:2] == [0, 3 << 20]


@pytest.mark.anyio
async def test_a_tampered_file_leads_to_the_next_source(tmp_path: Path) -> None:
    async with serving(tampered) as bad, serving(whole) as good:
        path = await pull(tmp_path, [bad.address, good.address])
    assert path.read_bytes() == CONTENT
    assert good.starts == [0]


@pytest.mark.anyio
async def test_says_why_each_source_failed_and_keeps_nothing_wrong(tmp_path: Path) -> None:
    async with serving(tampered) as bad, serving(missing) as gone:
        message = await refusal(tmp_path, [bad.address, gone.address])
    found = hashlib.sha256(b"\1" + CONTENT[1:]).hexdigest()
    assert f"{bad.address}: Its sha256 is {found}, expected {SHA256}" in message
    assert f"{gone.address}: It answered 404 Not Found." in message
    assert [path.suffix for path in (tmp_path / "weights" / "partial").iterdir()] == [".lock"]


@pytest.mark.anyio
async def test_a_host_that_does_not_answer_is_left_soon_and_not_tried_again_at_once(tmp_path: Path) -> None:
    with socket.socket() as busy:
        # A full backlog: the kernel drops further connection attempts, as an unreachable host does.
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        silent = f"http://127.0.0.1:{busy.getsockname()[1]}/m.gguf"
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(busy.getsockname())
        source = HttpSource(SystemClock(), connect_seconds=0.2)
        message = await refusal(tmp_path, [silent, silent], source)
        async with serving(whole) as good:
            path = await pull(tmp_path, [silent, good.address], source)
        for each in fillers:
            each.close()
    assert "could not be reached within 0.2 s" in message
    assert "could not be reached a moment ago" in message
    assert path.read_bytes() == CONTENT


@pytest.mark.anyio
async def test_a_server_that_accepts_and_says_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/m.gguf"
        source = HttpSource(SystemClock(), head_seconds=0.2)
        assert "did not answer within 0.2 s" in await refusal(tmp_path, [address], source)


@pytest.mark.anyio
async def test_a_download_that_stalls_is_left(tmp_path: Path) -> None:
    async with serving(stalled) as slow, serving(whole) as good:
        source = HttpSource(SystemClock(), stall_seconds=0.2)
        assert "sent nothing for 0.2 s" in await refusal(tmp_path, [slow.address], source)
        assert (await pull(tmp_path, [slow.address, good.address], source)).read_bytes() == CONTENT


@pytest.mark.anyio
async def test_names_what_is_wrong_with_an_address_that_leads_nowhere(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        refused = f"http://127.0.0.1:{gone.getsockname()[1]}/m.gguf"
    message = await refusal(tmp_path, [refused, "https://[", "http://\0/", "http://localhost.example/m"])
    assert f"{refused}: It could not be reached:" in message
    assert "It is not an address" in message
    assert '"http://localhost.example" is not https' in message


@pytest.mark.anyio
async def test_follows_redirects_but_never_away_from_https(tmp_path: Path) -> None:
    async with serving(whole) as target:
        async with serving(moved_to(target.address)) as server:
            assert (await pull(tmp_path / "a", [server.address])).read_bytes() == CONTENT
        async with serving(moved_to("http://example.invalid/m.gguf")) as server:
            message = await refusal(tmp_path / "b", [server.address])
        assert '"http://example.invalid" is not https' in message
        async with serving(moved_to("/again")) as server:
            assert "redirected more than 5 times" in await refusal(tmp_path / "c", [server.address])
            assert len(server.starts) == 6


@pytest.mark.anyio
async def test_two_stores_on_one_home_do_not_fetch_the_same_file_twice(tmp_path: Path) -> None:
    async with serving(whole) as server:
        paths = await asyncio.gather(*(pull(tmp_path, [server.address]) for _ in range(2)))
    assert paths[0] == paths[1]
    assert server.starts == [0]
