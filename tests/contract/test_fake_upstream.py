"""The fake upstream over real sockets: every knob does what it says, and the billing log is true."""

import asyncio
import ipaddress
import json
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from openai import AsyncOpenAI, OpenAI

from headrace.testing.billing import BillingLog, Ended, credential_digest, read_billing_log
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream, embeddings_reply, error_reply
from headrace.testing.recordings import recordings
from headrace.testing.script import FaultKind, Frame, Reply, Script, UpstreamRequest, raw_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
SECRET = "sk-upstream-secret"
HEAD_END = b"\r\n\r\n"
SOURCE = Path(__file__).parents[2] / "src"


def post(path: str = "/v1/chat/completions", body: bytes = BODY, headers: Iterable[str] = ()) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: upstream", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def unchunked(raw: bytes) -> tuple[list[bytes], bool]:
    """The HTTP chunks of a body as they are on the wire, and whether the last chunk came."""
    chunks: list[bytes] = []
    while raw:
        size_text, found, rest = raw.partition(b"\r\n")
        size = int(size_text, 16)
        assert found
        assert rest[size : size + 2] == b"\r\n"
        if size == 0:
            assert rest[2:] == b""
            return chunks, True
        chunks.append(rest[:size])
        raw = rest[size + 2 :]
    return chunks, False


class Caller:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes | None = None) -> bytes:
        """Send a request; return the response's head."""
        self.writer.write(request or post())
        return await self.reader.readuntil(HEAD_END)

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Callers:
    """Opens raw connections."""

    def __init__(self) -> None:
        self.opened: list[Caller] = []

    async def connect(self, upstream: FakeUpstream) -> Caller:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", upstream.port))
        self.opened.append(caller)
        return caller


@pytest.fixture
async def callers() -> AsyncIterator[Callers]:
    """Raw connections, closed after the test."""
    opened = Callers()
    yield opened
    for caller in opened.opened:
        await caller.leave()


async def chunks_of(callers: Callers, reply: Reply) -> tuple[list[bytes], bool]:
    async with FakeUpstream(reply) as upstream:
        caller = await callers.connect(upstream)
        await caller.ask(post(headers=["connection: close"]))
        raw = await caller.reader.read()
        await caller.leave()
        return unchunked(raw)


async def ending_of(upstream: FakeUpstream, number: int = 1) -> Ended:
    return await upstream.log.until_end_of(number)


async def test_frames_are_the_chunks_on_the_wire(callers: Callers) -> None:
    reply = chat_stream("one two three")
    assert await chunks_of(callers, reply) == ([frame.data for frame in reply.frames], True)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_chunks_are_as_scripted_even_inside_a_code_point(callers: Callers, size: int) -> None:
    recording = recordings()["multibyte"]
    body = recording.body
    expected = [body[start : start + size] for start in range(0, len(body), size)]
    assert await chunks_of(callers, recording.reply().split_every(size)) == (expected, True)


@pytest.mark.parametrize("offset", [0, 1, 200, 10_000])
async def test_a_cut_closes_without_the_last_chunk(callers: Callers, offset: int) -> None:
    reply = chat_stream("one two three")
    chunks, complete = await chunks_of(callers, reply.cut(offset))
    assert b"".join(chunks) == reply.body[:offset]
    assert not complete


async def test_a_cut_body_with_a_length_is_short(callers: Callers) -> None:
    async with FakeUpstream(chat_reply("one").cut(10)) as upstream:
        caller = await callers.connect(upstream)
        head = await caller.ask()
        assert f"content-length: {len(chat_reply('one').body)}".encode() in head
        assert await caller.reader.read() == chat_reply("one").body[:10]
        await caller.leave()
        ended = await ending_of(upstream)
    assert (ended.ending, ended.sent_bytes, ended.prompt_tokens, ended.completion_tokens) == ("cut", 10, 7, 0)


async def test_a_reset_is_a_reset_after_its_bytes(callers: Callers) -> None:
    gate = Gate()
    reply = chat_stream("one two").hold(gate, before_frame=2)
    start = reply.frame_starts[2]
    async with FakeUpstream(reply.reset(start)) as upstream:
        caller = await callers.connect(upstream)
        await caller.ask()
        await gate.reached()
        for frame in reply.frames[:2]:
            assert frame.data in await caller.reader.readuntil(b"\n\n\r\n")
        gate.release()
        with pytest.raises(ConnectionResetError):
            await caller.reader.read()
        ended = await ending_of(upstream)
    assert (ended.ending, ended.sent_bytes, ended.sent_frames, ended.completion_tokens) == (
        "reset",
        start,
        2,
        1,
    )


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_connection_can_die_before_the_first_byte(callers: Callers, kind: FaultKind) -> None:
    async with FakeUpstream([chat_reply("one"), chat_reply("two").without_headers(kind)]) as upstream:
        caller = await callers.connect(upstream)
        await caller.ask()
        await caller.reader.readexactly(len(chat_reply("one").body))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)) as caught:
            await caller.ask()
        await upstream.log.until_ended(2)
        assert (caught.type is ConnectionResetError) is (kind == "reset")
        assert [request.connection for request in upstream.requests] == [1, 1]
        assert [(e.status, e.ending, e.prompt_tokens) for e in upstream.log.ended] == [
            (200, "complete", 7),
            (None, kind, 0),
        ]


async def test_a_stall_stays_open_and_a_leaving_caller_is_noticed(callers: Callers) -> None:
    reply = chat_stream("one two")
    async with FakeUpstream(reply.stall(reply.frame_starts[2])) as upstream:
        caller = await callers.connect(upstream)
        await caller.ask()
        await caller.reader.readuntil(b'"content":"one"')
        await caller.reader.readuntil(b"\n\n\r\n")
        assert upstream.log.ended == ()
        assert upstream.open_connections == 1
        await caller.leave()
        ended = await ending_of(upstream)
    assert (ended.ending, ended.stalled, ended.completion_tokens) == ("client_left", True, 1)


async def test_an_upstream_that_shuts_down_says_what_it_left_undone(callers: Callers) -> None:
    gate = Gate()
    answers = {"stalls": chat_stream("one").stall(0), "held": chat_stream("one").hold(gate, before_frame=1)}
    async with FakeUpstream(answers) as upstream:
        for model in answers:
            caller = await callers.connect(upstream)
            await caller.ask(post(body=json.dumps({"model": model}).encode()))
        await gate.reached()
    endings = {entry.model: entry.ending for entry in upstream.log.ended}
    assert endings == {"stalls": "stalled", "held": "stopped"}
    assert upstream.open_connections == 0


async def test_a_gate_holds_headers_and_frames_until_released() -> None:
    at_headers, at_frame = Gate(), Gate()
    reply = chat_stream("one two").hold_headers(at_headers).hold(at_frame, before_frame=3)
    async with FakeUpstream(reply) as upstream, httpx2.AsyncClient() as client:
        asking = asyncio.ensure_future(client.post(f"{upstream.base_url}/chat/completions", content=BODY))  # noqa: TID251 - awaited below
        await at_headers.reached()
        assert (upstream.log.ended, at_frame.arrived) == ((), 0)
        at_headers.release()
        await at_frame.reached()
        assert not asking.done()
        at_frame.release()
        assert (await asking).content == reply.body


async def test_delays_are_slept_with_the_sleep_given() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    reply = chat_stream("one").delayed(before_headers_seconds=9.0, between_writes_seconds=5.0)
    async with FakeUpstream(reply, sleep=sleep) as upstream, httpx2.AsyncClient() as client:
        answer = await client.post(f"{upstream.base_url}/chat/completions", content=BODY)
    assert answer.content == reply.body
    assert slept == [9.0] + [5.0] * (len(reply.frames) - 1)


async def test_the_billing_log_joins_and_bills() -> None:
    headers = {
        "authorization": f"Bearer {SECRET}",
        "x-request-id": "req_7",
        "x-headrace-attempt": "att_9",
        "content-type": "application/json",
    }
    ticks = iter(range(100, 200))
    reply = chat_stream(Chat("one two three", prompt_tokens=11))
    async with (
        FakeUpstream(reply, unix_micros=lambda: next(ticks)) as upstream,
        httpx2.AsyncClient() as client,
    ):
        await client.post(f"{upstream.base_url}/chat/completions", content=BODY, headers=headers)
        ended = await ending_of(upstream)
    received = upstream.log.received[0]
    assert (received.method, received.path, received.body) == (
        "POST",
        "/v1/chat/completions",
        json.loads(BODY),
    )
    assert received.credential_sha256 == credential_digest(SECRET)
    assert SECRET not in repr(upstream.log.entries)
    assert upstream.requests[0].header("authorization") == f"Bearer {SECRET}"
    assert upstream.requests[0].body == BODY
    assert ended == Ended(
        number=1,
        request_id="req_7",
        attempt_id="att_9",
        model="m",
        status=200,
        ending="complete",
        stalled=False,
        sent_bytes=len(reply.body),
        sent_frames=len(reply.frames),
        prompt_tokens=11,
        completion_tokens=3,
        at_unix_micros=101,
    )
    assert (received.request_id, received.attempt_id, received.at_unix_micros) == ("req_7", "att_9", 100)


async def test_a_caller_that_leaves_mid_stream_is_billed_what_was_written(callers: Callers) -> None:
    gate = Gate()
    reply = chat_stream("one two three").hold(gate, before_frame=3)
    async with FakeUpstream(reply) as upstream:
        caller = await callers.connect(upstream)
        await caller.ask()
        await gate.reached()
        await caller.leave()
        ended = await ending_of(upstream)
        assert (ended.ending, ended.sent_frames, ended.completion_tokens) == ("client_left", 3, 2)
        assert ended.sent_bytes == reply.frame_starts[3]


async def test_a_caller_that_does_not_read_holds_the_upstream_back(callers: Callers) -> None:
    beyond_all_buffers = Gate()
    big = Reply(frames=(Frame(b"x" * 1_000_000, 1),) * 50).hold(beyond_all_buffers, before_frame=40)
    async with FakeUpstream([big, raw_reply(b"later")]) as upstream:
        slow, other = await callers.connect(upstream), await callers.connect(upstream)
        await slow.ask()
        await other.ask()
        assert await other.reader.readexactly(5) == b"later"
        assert beyond_all_buffers.arrived == 0
        await slow.leave()
        endings = {entry.number: entry for entry in await upstream.log.until_ended(2)}
    assert endings[1].ending == "client_left"
    assert endings[1].completion_tokens == endings[1].sent_bytes // 1_000_000 < 40


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    start = datetime(2000, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start.replace(year=2100))
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = folder / "upstream.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return path


async def test_it_speaks_tls_with_a_certificate_given(tmp_path: Path) -> None:
    path = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    async with FakeUpstream([chat_reply("one"), chat_reply("two").reset(3)], tls=tls) as upstream:
        trusting = ssl.create_default_context(cafile=str(path))
        async with httpx2.AsyncClient(verify=trusting) as client:
            answer = await client.post(f"{upstream.base_url}/chat/completions", content=BODY)
            with pytest.raises(httpx2.ReadError):
                await client.post(f"{upstream.base_url}/chat/completions", content=BODY)
        async with httpx2.AsyncClient() as client:
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.post(f"{upstream.base_url}/chat/completions", content=BODY)
    assert upstream.origin.startswith("https://127.0.0.1:")
    assert answer.content == chat_reply("one").body


@pytest.mark.parametrize("status", [200, 400, 418, 429, 500, 503, 529, 599])
async def test_any_status_goes_out(status: int) -> None:
    async with (
        FakeUpstream(error_reply(status, retry_after="-1")) as upstream,
        httpx2.AsyncClient() as client,
    ):
        answer = await client.post(f"{upstream.base_url}/chat/completions", content=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "-1")


async def test_connections_are_reused_and_pipelined_requests_answered_in_order(callers: Callers) -> None:
    async with FakeUpstream([raw_reply(b"1"), raw_reply(b"2"), Reply(framing="close")]) as upstream:
        caller = await callers.connect(upstream)
        caller.writer.write(post() + post() + post())
        raw = await caller.reader.read()
        assert [part[:1] for part in raw.split(HEAD_END)[1:]] == [b"1", b"2", b""]
        await upstream.log.until_ended(3)
        assert (upstream.connections, len(upstream.requests)) == (1, 3)
        await caller.leave()


async def test_a_body_that_waits_for_permission_gets_it(callers: Callers) -> None:
    async with FakeUpstream(raw_reply(b"ok")) as upstream:
        caller = await callers.connect(upstream)
        head, _, body = post(headers=["expect: 100-continue"]).partition(HEAD_END)
        assert await caller.ask(head + HEAD_END) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await caller.ask(body)).startswith(b"HTTP/1.1 200 OK\r\n")
        await caller.leave()
    assert upstream.requests[0].body == BODY


async def test_noise_is_refused_and_not_logged(callers: Callers) -> None:
    async with FakeUpstream() as upstream:
        caller = await callers.connect(upstream)
        assert (await caller.ask(b"\x16\x03\x01 no http\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        await caller.leave()
    assert upstream.log.entries == ()


async def test_a_defect_in_a_script_fails_the_test_that_uses_it(callers: Callers) -> None:
    def broken(request: UpstreamRequest) -> Reply:
        raise LookupError(f"no answer for {request.path}")

    with pytest.raises(LookupError, match="no answer for /v1/chat/completions"):
        async with FakeUpstream(broken) as upstream:
            caller = await callers.connect(upstream)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await caller.ask()
            assert (await ending_of(upstream)).ending == "failed"


async def test_the_script_can_change_meanwhile() -> None:
    async with FakeUpstream(raw_reply(b"before")) as upstream, httpx2.AsyncClient() as client:
        first = await client.post(upstream.base_url, content=BODY)
        upstream.follow(raw_reply(b"after"))
        second = await client.post(upstream.base_url, content=BODY)
    assert (first.content, second.content) == (b"before", b"after")


async def test_the_official_client_reads_all_shapes() -> None:
    script: Script = {
        "/v1/embeddings": embeddings_reply(2),
        "m": [chat_stream("one two"), chat_reply("three")],
    }
    async with (
        FakeUpstream(script) as upstream,
        AsyncOpenAI(base_url=upstream.base_url, api_key=SECRET) as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        chunks = [chunk async for chunk in stream]
        whole = await client.chat.completions.create(model="m", messages=[])
        vectors = await client.embeddings.create(model="e", input=["a", "b"], encoding_format="float")
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "one two"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2
    assert whole.choices[0].message.content == "three"
    assert len(vectors.data) == 2


@pytest.mark.parametrize("name", list(recordings()))
async def test_the_official_client_reads_the_recordings(name: str) -> None:
    recording = recordings()[name]
    async with (
        FakeUpstream(recording.reply().split_every(11)) as upstream,
        AsyncOpenAI(base_url=upstream.base_url, api_key=SECRET) as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        chunks = [chunk async for chunk in stream]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == recording.text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == recording.completion_tokens


def test_a_blocking_client_and_a_thread() -> None:
    gate = Gate()
    with (
        running_upstream(chat_stream("one two").hold(gate, before_frame=2)) as upstream,
        OpenAI(base_url=upstream.base_url, api_key=SECRET) as client,
    ):
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        gate.wait_reached()
        assert upstream.log.ended == ()
        gate.release()
        assert len(list(stream)) == 5
        assert upstream.log.wait_ended()[0].ending == "complete"


def test_many_threads_stand_at_one_gate() -> None:
    gate = Gate()
    with running_upstream(chat_reply("one").hold_headers(gate)) as upstream, httpx2.Client() as client:
        url = f"{upstream.base_url}/chat/completions"
        threads = [threading.Thread(target=client.post, args=(url,), kwargs={"content": BODY}) for _ in range(8)]
        for thread in threads:
            thread.start()
        gate.wait_reached(8)
        gate.release()
        for thread in threads:
            thread.join()
        assert {entry.ending for entry in upstream.log.wait_ended(8)} == {"complete"}


def test_the_command_logs_what_outlives_its_kill(tmp_path: Path) -> None:
    script, log_path = tmp_path / "script.toml", tmp_path / "log.jsonl"
    script.write_text('[[reply]]\nmatch = "m"\nrecording = "vendor"\nstall_after_bytes = 1000\n')
    command = [
        sys.executable,
        "-m",
        "headrace.testing.upstream",
        "--script",
        str(script),
        "--log",
        str(log_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SOURCE) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with (
            httpx2.Client() as client,
            client.stream("POST", f"{base_url}/chat/completions", content=BODY) as answer,
        ):
            chunks = answer.iter_raw()
            seen = b""
            while len(seen) < 1000:
                seen += next(chunks)
            process.kill()
            assert process.wait() == -signal.SIGKILL
            with pytest.raises(httpx2.RemoteProtocolError):
                list(chunks)
    assert seen == recordings()["vendor"].body[:1000]
    assert [(type(entry).__name__, entry.number) for entry in read_billing_log(log_path)] == [("Received", 1)]


def test_the_command_stops_cleanly(tmp_path: Path) -> None:
    log_path = tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "headrace.testing.upstream", "--log", str(log_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SOURCE) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with httpx2.Client() as client:
            client.post(f"{base_url}/chat/completions", content=BODY).raise_for_status()
            process.terminate()
            assert process.wait() == 0
    ended = [entry for entry in read_billing_log(log_path) if isinstance(entry, Ended)]
    assert [(entry.ending, entry.prompt_tokens, entry.completion_tokens) for entry in ended] == [("complete", 1, 5)]


def test_a_log_given_is_the_log_used(tmp_path: Path) -> None:
    log = BillingLog(tmp_path / "log.jsonl")
    with running_upstream(log=log) as upstream, httpx2.Client() as client:
        client.get(f"{upstream.base_url}/models").raise_for_status()
        assert upstream.log is log
        log.wait_ended()
    assert read_billing_log(tmp_path / "log.jsonl") == log.entries
