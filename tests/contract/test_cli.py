"""The command as a process and over a real socket: what unit tests with a scripted transport cannot show."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace.domain.json_value import JsonObject

pytestmark = pytest.mark.timeout(20)

MODELS = {"object": "list", "data": [{"id": "m", "type": "chat", "provider": "p", "context_length": 10}]}
CHUNKS: tuple[JsonObject, ...] = (
    {"choices": [{"index": 0, "delta": {"content": "Grüße"}}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "headrace": {"cost_nano_usd": 12}},
)
RUN = """
import sys
from headrace.cli.command import run

sys.exit(run(sys.argv[1:], None))
"""


class Api(BaseHTTPRequestHandler):
    """A tiny server that speaks just enough of both planes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the list of models to the right key only."""
        if self.headers["Authorization"] != "Bearer hr_key":
            self._answer(401, {"error": {"message": "No such key. Use another.", "code": "invalid_api_key"}})
        else:
            self._answer(200, MODELS)

    def do_POST(self) -> None:
        """Stream a reply in pieces that cut characters and frames, or break off when asked to."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-request-id", "req_1")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in CHUNKS:
            frame = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
            for at in range(0, len(frame), 7):
                self._piece(frame[at : at + 7])
        if body["model"] == "broken":
            self.close_connection = True
        else:
            self._piece(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Generator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def headrace(home: Path, *argv: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADRACE_HOME": str(home),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", RUN, *argv],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=30,
    )


def write_credentials(home: Path, base_url: str) -> None:
    path = home / "credentials.json"
    path.write_text(json.dumps({"base_url": base_url, "api_key": "hr_key", "admin_token": "hr_admin"}))
    path.chmod(0o600)


def certificate(folder: Path) -> ssl.SSLContext:
    """Write an authority that is its own server certificate, and return a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "headrace test")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


def test_a_reply_streams_over_a_socket(tmp_path: Path) -> None:
    with serving() as port:
        write_credentials(tmp_path, f"http://127.0.0.1:{port}")
        ran = headrace(tmp_path, "chat", stdin="Hello")
    assert (ran.returncode, ran.stdout) == (0, "Grüße\n")
    assert ran.stderr == "[3 + 2 tokens · $0.000000012 · headrace receipt req_1]\n"


def test_a_reply_that_breaks_off_is_no_success(tmp_path: Path) -> None:
    with serving() as port:
        write_credentials(tmp_path, f"http://127.0.0.1:{port}/v1")
        ran = headrace(tmp_path, "chat", "broken", "--prompt", "Hello")
    assert ran.returncode == 1
    assert ran.stdout.startswith("Grüße")
    assert "broke off" in ran.stderr and "Traceback" not in ran.stderr


def test_a_stored_key_is_not_shown_to_another_server(tmp_path: Path) -> None:
    with serving() as port:
        write_credentials(tmp_path, f"http://127.0.0.1:{port + 1 if port < 65_535 else 1}")
        ran = headrace(tmp_path, "models", HEADRACE_URL=f"http://127.0.0.1:{port}")
        refused = headrace(tmp_path, "models", HEADRACE_URL=f"http://127.0.0.1:{port}", HEADRACE_API_KEY="hr_other")
    assert "there is no key for" in ran.stderr
    assert refused.stderr == "headrace: No such key.\n  Use another.\n"
    assert [ran.returncode, refused.returncode] == [1, 1]


def test_nothing_answers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        write_credentials(tmp_path, url)
        ran = headrace(tmp_path, "models")
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"headrace: nothing answers at {url}.\n  Start it with `headrace serve`")


def test_the_homes_own_authority_is_trusted_and_no_stranger(tmp_path: Path) -> None:
    context = certificate(tmp_path / "tls")
    with serving(context) as port:
        url = f"https://127.0.0.1:{port}"
        write_credentials(tmp_path, url)
        trusted = headrace(tmp_path, "models")
        (tmp_path / "tls").rename(tmp_path / "elsewhere")
        stranger = headrace(tmp_path, "models")
        told = headrace(tmp_path, "models", "--ca", str(tmp_path / "elsewhere/ca.pem"))
    assert trusted.stdout.splitlines()[1].startswith("m ")
    assert f"the certificate of {url} is not trusted" in stranger.stderr
    assert told.stdout == trusted.stdout


def test_a_reader_that_leaves_early_sees_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with serving() as port:
        write_credentials(tmp_path, f"http://127.0.0.1:{port}")
        variables = {"PYTHONPATH": os.pathsep.join(sys.path), "HEADRACE_HOME": str(tmp_path)}
        ran = subprocess.run(
            [sys.executable, "-c", RUN, "models"], env=variables, stdout=writing, stderr=subprocess.PIPE, check=False
        )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import headrace.cli.command", ("httpx2", "aiohttp", "starlette", "sqlalchemy", "xllamacpp")),
        ("import headrace", ("headrace.cli", "msgspec", "cyclopts")),
    ],
)
def test_what_is_heavy_is_imported_late(code: str, absent: tuple[str, ...]) -> None:
    check = f"import sys; {code}; print([name for name in {absent!r} if name in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", check],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"


def test_help_costs_less_than_half_a_second_of_processor_time(tmp_path: Path) -> None:
    before = os.times()
    assert headrace(tmp_path, "--help").returncode == 0
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
