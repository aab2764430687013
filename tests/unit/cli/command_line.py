"""Runs the command against a scripted API, with its own streams and environment."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from headrace.cli.client import ApiClient
from headrace.cli.command import run
from headrace.cli.environment import Environment
from headrace.cli.local import MadeHome
from headrace.cli.session import Session
from headrace.domain.audit import AuditReport
from headrace.domain.checkable import Checkable
from headrace.domain.doctor import DoctorFinding
from headrace.domain.finding import Finding
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.moved import Moved
from headrace.domain.secret import Secret
from headrace.domain.settings import ServeOptions
from headrace.domain.strength import Strength
from headrace.ports.fleet import Progress
from headrace.services.model_adding import Addition, AddWishes
from headrace.services.price_proposals import Comparison
from headrace.wire.price_sources import Format

URL = "http://127.0.0.1:8080"
KEY, ADMIN = "hr_key", "hr_admin"
ENVIRONMENT: Mapping[str, str] = {
    "HEADRACE_HOME": "/nonexistent/headrace",
    "HEADRACE_URL": URL,
    "HEADRACE_API_KEY": KEY,
    "HEADRACE_ADMIN_TOKEN": ADMIN,
}


class Stream(io.StringIO):
    """A stream that is a terminal, or not."""

    def __init__(self, text: str = "", *, terminal: bool = False) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@dataclass
class FakeApi:
    """Answers what is scripted for a method and path, and keeps what it was asked."""

    replies: dict[str, httpx2.Response] = field(default_factory=dict[str, httpx2.Response])
    requests: list[httpx2.Request] = field(default_factory=list[httpx2.Request])
    failure: Exception | None = None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        path = request.url.raw_path.decode()
        return self.replies.get(f"{request.method} {path}") or httpx2.Response(599, text=f"nothing scripted for {path}")

    @property
    def asked(self) -> list[str]:
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.requests]

    @property
    def credentials(self) -> list[str]:
        return [each.headers["authorization"].removeprefix("Bearer ") for each in self.requests]

    @property
    def last_body(self) -> JsonValue:
        return json.loads(self.requests[-1].content)


@dataclass
class FakeLocal:
    """The local verbs, as far as the command needs them; keeps what it was asked to do."""

    findings: Sequence[Finding] = ()
    checks: Sequence[DoctorFinding] = ()
    comparison: Comparison = field(default_factory=lambda: Comparison((), 0, 0))
    proposals: tuple[Path, ...] = ()
    audited: AuditReport = field(default_factory=lambda: AuditReport({}, 0, ()))
    moved: Moved = field(default_factory=lambda: Moved("headrace.db", "postgresql://db/books", {}, 0, 0, 0))
    progress: Sequence[Progress] = ()
    prompts: Sequence[Checkable] = ()
    addition: Addition | None = None
    added: str = ""
    done: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])

    def serve(self, options: ServeOptions) -> int:
        self.done.append(("serve", options))
        return 0

    def init(self, home: Path, base_url: str) -> MadeHome:
        self.done.append(("init", home, base_url))
        return MadeHome(home, home / "credentials.json", created=True)

    def doctor(self, home: Path) -> Sequence[DoctorFinding]:
        self.done.append(("doctor", home))
        return self.checks

    def catalog_check(self, folder: Path) -> Sequence[Finding]:
        self.done.append(("catalog check", folder))
        return self.findings

    def price_diff(self, folder: Path, file: Path, form: Format, provider: str | None) -> Comparison:
        self.done.append(("price diff", folder, file, form, provider))
        return self.comparison

    def price_import(
        self, folder: Path, file: Path, form: Format, provider: str | None
    ) -> tuple[Comparison, tuple[Path, ...]]:
        self.done.append(("price import", folder, file, form, provider))
        return self.comparison, self.proposals

    def price_apply(self, folder: Path, proposal: Path) -> Path:
        self.done.append(("price apply", folder, proposal))
        return folder / proposal.name

    def checkable(self) -> tuple[str, Sequence[Checkable]]:
        return "2026-11-28", self.prompts

    def save_strengths(self, folder: Path, strengths: Sequence[Strength]) -> Path:
        self.done.append(("save strengths", folder, strengths))
        return folder / "routing" / "strengths.toml"

    def model_look(self, home: Path, path: Path, wishes: AddWishes) -> Addition:
        self.done.append(("model look", home, path, wishes))
        assert self.addition is not None
        return self.addition

    def model_add(self, home: Path, added: Addition, watch: Callable[[Progress], None]) -> Path:
        self.done.append(("model add", home, added.model_id))
        for each in self.progress:
            watch(each)
        return home / "catalog" / "local.toml"

    def model_forget(self, home: Path, model_id: str) -> Path | None:
        self.done.append(("model forget", home, model_id))
        return home / "catalog" / "local.toml" if model_id == self.added else None

    def audit(self, home: Path, watch: Callable[[Progress], None]) -> AuditReport:
        self.done.append(("audit", home))
        for each in self.progress:
            watch(each)
        return self.audited

    def rebuild_usage(self, home: Path) -> None:
        self.done.append(("rebuild usage", home))

    def migrate(self, home: Path, to: Secret, watch: Callable[[Progress], None]) -> Moved:
        self.done.append(("migrate", home, to.reveal()))
        for each in self.progress:
            watch(each)
        return self.moved

    def backup(self, home: Path, destination: Path) -> str:
        self.done.append(("backup", home, destination))
        destination.write_bytes(b"copy")
        return "It does not hold the pepper."

    def restore(self, source: Path, home: Path, force: bool) -> str:
        self.done.append(("restore", source, home, force))
        return "Put HOME/secrets back."


@dataclass(frozen=True)
class Ran:
    """What one run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> JsonValue:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs `headrace …` in this process, without a network."""

    api: FakeApi = field(default_factory=FakeApi)
    local: FakeLocal = field(default_factory=FakeLocal)
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)
    stdin: Stream = field(default_factory=lambda: Stream(terminal=True))
    stdout: Stream = field(default_factory=Stream)
    stderr: Stream | None = None
    typed_secret: str = ""
    slept: list[float] = field(default_factory=list[float])

    def __call__(self, *argv: str) -> Ran:
        out, err = self.stdout, Stream() if self.stderr is None else self.stderr
        session = Session(
            self.local,
            Environment(self.environment),
            self.stdin,
            out,
            err,
            lambda prompt: self.typed_secret,
            lambda access: ApiClient(access, httpx2.MockTransport(self.api)),
            self.slept.append,
        )
        return Ran(run(argv, self.local, session), out.getvalue(), err.getvalue())

    def answers(self, call: str, reply: JsonObject, status: int = 200) -> CommandLine:
        self.api.replies[call] = httpx2.Response(status, json=reply, headers={"x-request-id": "req_1"})
        return self

    def streams(self, call: str, *events: Mapping[str, JsonValue], end: bytes = b"") -> CommandLine:
        content = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events) + end
        headers = {"content-type": "text/event-stream", "x-request-id": "req_1"}
        self.api.replies[call] = httpx2.Response(200, content=content, headers=headers)
        return self
