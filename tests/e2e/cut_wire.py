"""A wire to PostgreSQL that breaks: it takes a commit to the server, keeps back its answer, and is down for a while."""

from __future__ import annotations

import random
import select
import socket
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SOCKET = ".s.PGSQL.5432"
COMMITTED = b"COMMIT\x00"
BEFORE, AFTER = "before the server heard", "after it had committed"
LOOK_SECONDS = 0.1
CHUNK_BYTES = 65_536
DOWN_SECONDS = (0.2, 0.8)
UP_SECONDS = (0.1, 0.4)


@dataclass
class CutWire:
    """Passes sessions on to a server of the tests; `cuts` counts when it was cut."""

    folder: Path
    server: Path
    database: str
    cuts: Counter[str] = field(default_factory=Counter[str])
    _next: str | None = None
    _is_down: bool = False
    _is_cut: threading.Event = field(default_factory=threading.Event)
    _open: set[socket.socket] = field(default_factory=set[socket.socket])
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def store(self) -> str:
        """The address of the database at this end of the wire."""
        return f"postgresql://headrace@/{self.database}?host={self.folder}"

    @contextmanager
    def cutting(self, seed: int) -> Generator[None]:
        """Cut the wire again and again, two times of three at the answer to a commit."""
        dice, is_over = random.Random(seed), threading.Event()

        def cut_on() -> None:
            while not is_over.wait(dice.uniform(*UP_SECONDS)):
                self._is_cut.clear()
                self._next = dice.choice((AFTER, AFTER, BEFORE))
                while not (self._is_cut.wait(LOOK_SECONDS) or is_over.is_set()):
                    pass
                is_over.wait(dice.uniform(*DOWN_SECONDS))
                self._is_down = False

        cutter = threading.Thread(target=cut_on)
        cutter.start()
        try:
            yield
        finally:
            is_over.set()
            cutter.join()
            self._next, self._is_down = None, False

    def serve(self, listener: socket.socket) -> None:
        """Take sessions until the listener is closed; while the wire is down they end at once."""
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                if self._is_down:
                    near.close()
                    continue
                threading.Thread(target=self._session, args=(near,)).start()

    def end(self) -> None:
        """End every session."""
        for each in tuple(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _session(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, suppress(OSError):
            far.connect(str(self.server))
            self._open |= {near, far}
            try:
                self._pass_on(near, far)
            finally:
                self._open -= {near, far}

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        while True:
            for source in select.select([near, far], [], [])[0]:
                content = source.recv(CHUNK_BYTES)
                if not content or self._breaks_at(content, BEFORE if source is near else AFTER):
                    return
                (far if source is near else near).sendall(content)

    def _breaks_at(self, content: bytes, when: str) -> bool:
        """Whether the wire breaks instead of passing this on; every session breaks with it."""
        if self._next != when or (when == AFTER and COMMITTED not in content):
            return False
        with self._guard:
            if self._next != when:
                return False
            self._next, self._is_down = None, True
        self.cuts[when] += 1
        self._is_cut.set()
        self.end()
        return True


@contextmanager
def cut_wire(folder: Path, store: str) -> Generator[CutWire]:
    """A wire to the server of an address, which listens in this folder."""
    address = urlsplit(store)
    wire = CutWire(folder, Path(address.query.removeprefix("host=")) / SOCKET, address.path.strip("/"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        threading.Thread(target=wire.serve, args=(listener,)).start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            wire.end()
