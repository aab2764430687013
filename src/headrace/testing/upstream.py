"""The fake upstream as a server, in an event loop, a thread or a process; what it answers is a script."""

import argparse
import asyncio
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from anyio.from_thread import start_blocking_portal

from headrace.testing.billing import BillingLog
from headrace.testing.connection import Connection
from headrace.testing.obedient import obedient_answer
from headrace.testing.script import Answer, Script, UpstreamRequest, answering
from headrace.testing.script_file import read_script

HOST = "127.0.0.1"


def system_unix_micros() -> int:
    """The machine's wall clock."""
    return time.time_ns() // 1_000


class FakeUpstream:
    """A model provider on a loopback socket that answers as its script says and keeps its own billing log.

    Without a script it behaves well: it answers chat, streams, embeddings and models as they are asked for.
    Raises, on leaving the context, whatever a script's function raised while answering.
    """

    def __init__(
        self,
        script: Script = obedient_answer,
        *,
        log: BillingLog | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unix_micros: Callable[[], int] = system_unix_micros,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.log: BillingLog = log or BillingLog()
        self.sleep: Callable[[float], Awaitable[None]] = sleep
        self.unix_micros: Callable[[], int] = unix_micros
        self._answer: Answer = answering(script)
        self._port: int = port
        self._tls: ssl.SSLContext | None = tls
        self._server: asyncio.Server | None = None
        self._requests: list[UpstreamRequest] = []
        self._numbers: int = 0
        self._connections: int = 0
        self._open: set[Connection] = set()
        self._idle: asyncio.Event = asyncio.Event()
        self._failures: list[BaseException] = []

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self._port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.origin}/v1"

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Every request as it came, credentials in clear, oldest first."""
        return tuple(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were ever accepted."""
        return self._connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    @property
    def answer(self) -> Answer:
        """The script as one function."""
        return self._answer

    def follow(self, script: Script) -> None:
        """Answer all further requests by another script."""
        self._answer = answering(script)

    def receive(self, request: UpstreamRequest) -> None:
        """Keep a request for the test to look at (called by a connection)."""
        self._requests.append(request)

    def next_number(self) -> int:
        """The number for a new request (called by a connection)."""
        self._numbers += 1
        return self._numbers

    def opened(self, connection: Connection) -> int:
        """Count a connection in and number it (called by the connection)."""
        self._open.add(connection)
        self._idle.clear()
        self._connections += 1
        return self._connections

    def closed(self, connection: Connection, failure: BaseException | None) -> None:
        """Count a connection out, with the defect of the script that ended it (called by the connection)."""
        self._open.discard(connection)
        if not self._open:
            self._idle.set()
        if failure is not None:
            self._failures.append(failure)

    async def __aenter__(self) -> "FakeUpstream":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), HOST, self._port, ssl=self._tls, backlog=1024)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            connection.stop()
        if self._open:
            await self._idle.wait()
        self.log.close()
        for failure in self._failures:
            if error is None:
                raise failure
            error.add_note(f"The fake upstream's script failed: {failure!r}")


@contextmanager
def running_upstream(
    script: Script = obedient_answer,
    *,
    log: BillingLog | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Generator[FakeUpstream]:
    """The same upstream in a thread of its own, for tests with blocking clients."""
    upstream = FakeUpstream(script, log=log, sleep=sleep, port=port, tls=tls)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(upstream):
        yield upstream


async def _serve_forever(script: Script, log: BillingLog, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FakeUpstream(script, log=log, port=port) as upstream:
        sys.stdout.write(f"{upstream.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the upstream as a process until it is interrupted; its first line of output is its base URL."""
    parser = argparse.ArgumentParser(prog="python -m headrace.testing.upstream", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--script", type=Path, help="TOML file with the replies; without it all requests are answered")
    parser.add_argument("--log", type=Path, help="JSON-lines file for the billing log, appended to")
    options = parser.parse_args(arguments)
    script = obedient_answer if options.script is None else read_script(options.script)
    asyncio.run(_serve_forever(script, BillingLog(options.log), options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
