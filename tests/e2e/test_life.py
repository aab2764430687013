"""The life of an installation: starts, stops, refusals to start, reloads, credentials, backup, TLS."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from headrace.drivers.tls.authority import ensure_certificate
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import chat_stream, error_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually, headrace

CHAT = "/v1/chat/completions"
FAKE = "fake-chat"
BODY: dict[str, Any] = {"model": FAKE, "messages": [{"role": "user", "content": "hi"}]}
QUICK_SECONDS = 2.0
PROVIDER_KEY = "canary5b1f0c9e7dWithoutAPrefix"
PROMPT = "canary prompt 8c41 about a river"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with running_upstream() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path, upstream: FakeUpstream) -> Iterator[RunningHeadrace]:
    """An installation that was not started yet."""
    found = RunningHeadrace(tmp_path / "home")
    found.add_provider("fake", upstream.base_url, FAKE)
    try:
        yield found
    finally:
        if found.process is not None and found.process.poll() is None:
            found.kill()


def refused_start(server: RunningHeadrace) -> tuple[int, str]:
    """Start a server that must not start; returns its exit status and what it said."""
    server.starts += 1
    process = server.launch()
    status = process.wait(30)
    assert "Traceback" not in server.log and "Headrace is ready" not in server.output
    return status, server.log + server.output


def ask(server: RunningHeadrace, **fields: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(CHAT, json={**BODY, **fields})


def accepts(server: RunningHeadrace) -> bool:
    url = httpx2.URL(server.base_url)
    try:
        with socket.create_connection((url.host, url.port or 80), timeout=5):
            return True
    except OSError:
        return False


def set_provider(server: RunningHeadrace, old: str, new: str) -> None:
    """Edit the provider's file."""
    file = server.home / "catalog" / "fake.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_first_start_writes_private_credentials_and_a_request_to_paste(server: RunningHeadrace) -> None:
    server.start()
    file = server.home / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.home.stat().st_mode) & 0o077 == 0 or server.home.stat().st_uid == os.getuid()
    assert server.credentials.keys() == {"base_url", "api_key", "admin_token"}
    assert server.api_key.startswith("hr_") and server.admin_token.startswith("hra_")
    assert f"curl {server.base_url}/v1/chat/completions" in server.output
    command = server.output[server.output.index("  curl ") :].partition("\n\n")[0]
    assert server.api_key in command
    words = shlex.split(command.replace("\\\n", " "))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    body = {**json.loads(words[words.index("-d") + 1]), "model": FAKE}
    with httpx2.Client(trust_env=False, headers=headers) as client:
        assert client.post(words[1], json=body).json()["model"] == FAKE
    for secret in (server.home / "secrets").rglob("*"):
        assert stat.S_IMODE(secret.stat().st_mode) & 0o077 == 0, secret


def test_the_second_start_is_quick_says_four_lines_and_keeps_keys_and_receipts(server: RunningHeadrace) -> None:
    server.start()
    before = server.credentials
    receipt = server.receipt(ask(server).headers["x-request-id"])
    best = min(timed_restart(server) for _ in range(3))
    sys.stdout.write(f"second start: {best:.2f} s\n")
    assert best < QUICK_SECONDS
    assert len(server.output.splitlines()) == 4
    assert before["api_key"] not in server.output
    assert {**server.credentials, "base_url": ""} == {**before, "base_url": ""}
    assert server.receipt(receipt["id"]) == receipt


def timed_restart(server: RunningHeadrace) -> float:
    """Stop and start again; the best of some tells the program's own time on a busy machine."""
    assert server.stop() == 0
    started = time.monotonic()
    server.start()
    return time.monotonic() - started


def test_sigterm_drains_a_running_stream_to_its_end_and_exits_0(
    server: RunningHeadrace, upstream: FakeUpstream
) -> None:
    server.start()
    gate = Gate()
    upstream.follow(chat_stream("one two three four").hold(gate, before_frame=3))
    process = server.process
    assert process is not None
    with server.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply:
        gate.wait_reached()
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "1 request in flight, finishing" in server.output, "the server drains")
        eventually(lambda: not accepts(server), "no new connection is taken")
        assert process.poll() is None
        gate.release()
        text = reply.read().decode()
        request_id = reply.headers["x-request-id"]
    assert text.endswith("data: [DONE]\n\n") and '"four"' in text.replace(" four", "four")
    assert process.wait(20) == 0
    assert "Goodbye. 1 request served, $0.0000015" in server.output
    server.start()
    receipt = server.receipt(request_id)
    assert (receipt["status"], receipt["attempts"][0]["ending"]) == (200, "complete")


@pytest.mark.parametrize("how", ["a second signal", "the drain's limit"])
def test_what_does_not_end_in_time_is_broken_off_settled_and_named(
    server: RunningHeadrace, upstream: FakeUpstream, how: str
) -> None:
    limit = 1 if how == "the drain's limit" else 60
    (server.home / "headrace.toml").write_text(f"[limits]\ndrain_seconds = {limit}\n")
    server.start()
    gate = Gate()
    upstream.follow(chat_stream("one two three four").hold(gate, before_frame=3))
    process = server.process
    assert process is not None
    with server.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply:
        gate.wait_reached()
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "finishing" in server.output, "the server drains")
        if how == "a second signal":
            process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx2.RemoteProtocolError):
            reply.read()
        request_id = reply.headers["x-request-id"]
    assert process.wait(20) == 0
    gate.release()
    assert server.count("hold") == 0
    server.start()
    [attempt] = server.receipt(request_id)["attempts"]
    assert attempt["state"] == "settled" and attempt["usage"]["estimated"]
    assert attempt["ending"] == "shutting_down"


def test_a_taken_port_names_the_process_that_has_it(server: RunningHeadrace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = headrace("serve", "--port", str(port), home=server.home)
    assert run.returncode == 5 and "Traceback" not in run.stderr
    assert f"port {port} is taken by" in run.stderr and f"(pid {os.getpid()})" in run.stderr
    assert f"--port {port + 1}" in run.stderr
    server.start()
    assert ask(server).status_code == 200


@pytest.mark.parametrize("place", ["a file", "below a file", "read-only system"])
def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "taken"
    file.write_text("not a folder")
    home = {"a file": file, "below a file": file / "home", "read-only system": Path("/proc/headrace-home")}[place]
    run = headrace("serve", "--port", "0", home=home)
    assert run.returncode == 3
    assert f"{home} cannot be written" in run.stderr and "--home DIR" in run.stderr
    assert "Traceback" not in run.stderr
    assert file.read_text() == "not a folder"


@pytest.mark.parametrize("damage", ["overwritten", "cut", "another program's"])
def test_a_damaged_store_is_refused_naming_the_file_and_left_as_it_is(server: RunningHeadrace, damage: str) -> None:
    server.start()
    assert ask(server).status_code == 200
    server.stop()
    file = server.home / "headrace.db"
    content = file.read_bytes()
    if damage == "overwritten":
        file.write_bytes(b"\x13" * len(content))
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE bookmarks (url TEXT)")
            other.commit()
    wounded = file.read_bytes()
    status, said = refused_start(server)
    assert status == 4, said
    assert str(file) in said, said
    assert "restore" in said or "move it away" in said, said
    assert file.read_bytes() == wounded
    file.write_bytes(content)
    server.start()
    assert ask(server).status_code == 200


def test_a_second_process_on_the_same_home_is_refused_and_the_first_serves_on(server: RunningHeadrace) -> None:
    server.start()
    assert server.process is not None
    run = headrace("serve", "--port", "0", home=server.home)
    assert run.returncode == 3
    assert f"in use by another Headrace (pid {server.process.pid})" in run.stderr
    assert ask(server).status_code == 200
    run = headrace("init", home=server.home)
    assert run.returncode == 3 and "in use" in run.stderr


def test_a_home_of_a_newer_version_is_refused_and_left_as_it_is(server: RunningHeadrace) -> None:
    server.start()
    server.stop()
    with closing(sqlite3.connect(server.home / "headrace.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '0999'")
        store.execute("UPDATE installation SET value = '9.9.9' WHERE name = 'written_by'")
        store.commit()
    status, said = refused_start(server)
    assert status == 3
    assert "Headrace 9.9.9" in said and "0999" in said
    assert not (server.home / "backups").exists()


def test_a_backup_made_while_serving_restores_the_same_receipts_into_a_new_home(
    server: RunningHeadrace, upstream: FakeUpstream, tmp_path: Path
) -> None:
    server.start()
    ids = [ask(server).headers["x-request-id"] for _ in range(3)]
    receipts = [server.receipt(each) for each in ids]
    archive = tmp_path / "backup.tar.gz"
    gate = Gate()
    upstream.follow(chat_stream("one two three four").hold(gate, before_frame=3))
    with server.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply:
        gate.wait_reached()
        run = headrace("backup", str(archive), home=server.home)
        assert run.returncode == 0, run.stderr
        assert "pepper" in run.stdout and "master key" in run.stdout
        gate.release()
        assert reply.read().endswith(b"data: [DONE]\n\n")
        in_flight = reply.headers["x-request-id"]
    check_holds_no_secret(archive, server, tmp_path)
    other = RunningHeadrace(tmp_path / "other")
    assert headrace("restore", str(archive), home=other.home).returncode == 0
    with other:
        assert other.admin_token != server.admin_token
        assert [other.receipt(each) for each in ids] == receipts
        unfinished = other.receipt(in_flight)["attempts"][0]
        assert (unfinished["state"], unfinished["ending"]) == ("settled", "recovered")
        assert other.count("hold") == 0
        with other.client(server.api_key) as old_key:
            assert old_key.get("/v1/models").status_code == 401, "its pepper is not here"
        run = headrace("restore", str(archive), "--force", home=other.home)
        assert run.returncode == 3 and "in use" in run.stderr
    run = headrace("restore", str(archive), home=other.home)
    assert run.returncode == 3 and "not empty" in run.stderr


def check_holds_no_secret(archive: Path, server: RunningHeadrace, tmp_path: Path) -> None:
    """Unpack a backup: neither pepper nor master key nor a credential is in it, in any of its files."""
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    folder = tmp_path / "unpacked"
    folder.mkdir()
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    found = b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    secrets = [each.read_bytes() for each in (server.home / "secrets").rglob("*") if each.is_file()]
    assert len(secrets) >= 2 and all(secrets)
    for secret in (*secrets, server.api_key.encode(), server.admin_token.encode()):
        assert secret.strip() not in found
    assert not [each for each in folder.rglob("*") if "secret" in each.name or "credential" in each.name]


def test_a_restored_home_with_its_old_secrets_knows_its_keys_and_opens_its_credentials(
    server: RunningHeadrace, upstream: FakeUpstream, tmp_path: Path
) -> None:
    needs_key(server)
    server.start()
    assert headrace("providers", "set-key", "fake", stdin=PROVIDER_KEY, home=server.home).returncode == 0
    assert headrace("backup", str(tmp_path / "backup"), home=server.home).returncode == 0
    server.stop()
    other = RunningHeadrace(tmp_path / "other")
    assert headrace("restore", str(tmp_path / "backup"), home=other.home).returncode == 0
    shutil.copytree(server.home / "secrets", other.home / "secrets", dirs_exist_ok=True)
    with other, other.client(server.api_key) as old_key:
        assert old_key.post(CHAT, json=BODY).status_code == 200
        assert sent_credential(upstream) == f"Bearer {PROVIDER_KEY}"


def reload_by_signal(server: RunningHeadrace) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


def reload_by_request(server: RunningHeadrace) -> None:
    with server.client(server.admin_token) as admin:
        admin.post("/v2/config/reload")


def reload_by_file(server: RunningHeadrace) -> None:
    """Nothing is done: the change of the file is enough."""


RELOADS = [reload_by_signal, reload_by_request, reload_by_file]


def can_call(server: RunningHeadrace, model: str) -> bool:
    with server.client() as client:
        return model in {each["id"] for each in client.get("/v1/models").json()["data"]}


@pytest.mark.parametrize("reload", RELOADS)
def test_a_good_change_takes_effect_and_a_bad_one_is_refused_while_the_old_serves_on(
    server: RunningHeadrace, upstream: FakeUpstream, reload: Callable[[RunningHeadrace], None]
) -> None:
    server.start()
    server.add_provider("second", upstream.base_url, "second-chat")
    reload(server)
    eventually(lambda: can_call(server, "second-chat"), "the new model is listed")
    file = server.home / "catalog" / "second.toml"
    lines = file.read_text().splitlines()
    place = next(number for number, line in enumerate(lines, 1) if line.startswith("context_length"))
    file.write_text(file.read_text().replace("context_length = 100000", 'context_length = "lots"'))
    reload(server)
    eventually(lambda: "configuration refused" in server.log or reload is reload_by_request, "the refusal is logged")
    with server.client(server.admin_token) as admin:
        refusal = admin.post("/v2/config/reload")
    assert refusal.status_code == 400 and refusal.json()["id"] == "config_invalid"
    assert f"{file}:{place}" in refusal.json()["message"]
    if reload is not reload_by_request:
        assert f"{file}:{place}" in server.log
    assert ask(server, model="second-chat").status_code == 200
    assert headrace("catalog", "check", home=server.home).returncode == 1
    file.unlink()
    reload(server)
    eventually(lambda: not can_call(server, "second-chat"), "the model is gone")
    assert ask(server, model="second-chat").status_code == 404


def test_an_alias_of_the_file_is_in_force_after_the_file_changes_and_a_bad_one_stops_a_start(
    server: RunningHeadrace,
) -> None:
    file = server.home / "headrace.toml"
    file.write_text(f'[aliases.daily]\npoints_to = "{BODY["model"]}"\n')
    server.start()
    assert ask(server, model="daily").headers["x-headrace-model"] == BODY["model"]
    file.write_text(f'[aliases."team/weekly"]\npoints_to = "{BODY["model"]}"\n')
    eventually(lambda: can_call(server, "team/weekly"), "the new alias is listed")
    assert ask(server, model="daily").status_code == 404
    assert headrace("aliases", "delete", "team/weekly", home=server.home).returncode == 1
    file.write_text("[aliases.daily]\n\npoints_to = 'nobody'\n")
    eventually(lambda: f"{file}:1" in server.log, "the refusal is logged")
    assert ask(server, model="team/weekly").status_code == 200
    server.stop()
    status, said = refused_start(server)
    assert status == 2 and f'{file}:1: aliases.daily.points_to: No model named "nobody"' in said


def test_a_stream_in_flight_goes_on_by_what_it_started_with(server: RunningHeadrace, upstream: FakeUpstream) -> None:
    server.start()
    gate = Gate()
    upstream.follow(chat_stream("one two three four").hold(gate, before_frame=3))
    with server.client() as client, client.stream("POST", CHAT, json={**BODY, "stream": True}) as reply:
        gate.wait_reached()
        (server.home / "catalog" / "fake.toml").unlink()
        reload_by_request(server)
        assert ask(server).status_code == 404
        gate.release()
        assert reply.read().endswith(b"data: [DONE]\n\n")
    [attempt] = server.receipt(reply.headers["x-request-id"])["attempts"]
    assert (attempt["ending"], attempt["charge_nano_usd"]) == ("complete", 4 * 200 + 700)


def test_a_price_changes_by_a_new_dated_entry_and_old_receipts_keep_theirs(server: RunningHeadrace) -> None:
    server.start()
    before = ask(server).headers["x-request-id"]
    first = server.receipt(before)
    file = server.home / "catalog" / "fake.toml"
    prices = file.read_text().partition("[[models.prices]]\n")[2]
    newer = prices.replace("2026-01-01", "2026-01-02").replace('"0.20"', '"0.40"')
    file.write_text(f"{file.read_text()}[[models.prices]]\n{newer}")
    reload_by_request(server)
    after = server.receipt(ask(server).headers["x-request-id"])
    versions = [each["attempts"][0]["price"] for each in (first, after)]
    assert "@2026-01-01" in versions[0]["version"] and "@2026-01-02" in versions[1]["version"]
    assert [each["usd_per_mtok"]["output_text"] for each in versions] == ["0.2", "0.4"]
    assert after["charge_nano_usd"] - first["charge_nano_usd"] == 5 * 200
    assert server.receipt(before) == first


def needs_key(server: RunningHeadrace) -> None:
    set_provider(server, 'auth = "none"', 'auth = "bearer"\nkey_variable = "FAKE_CANARY_KEY"')


def sent_credential(upstream: FakeUpstream) -> str | None:
    return upstream.requests[-1].header("authorization")


def test_a_providers_key_comes_from_standard_input_is_live_at_once_and_survives_a_restart(
    server: RunningHeadrace, upstream: FakeUpstream
) -> None:
    needs_key(server)
    server.start()
    refused = ask(server).json()["error"]
    assert refused["code"] == "model_unavailable" and "headrace providers set-key fake" in refused["message"]
    assert upstream.requests == ()
    run = headrace("providers", "set-key", "fake", stdin=f"{PROVIDER_KEY}\n", home=server.home)
    assert run.returncode == 0 and PROVIDER_KEY not in run.stdout + run.stderr
    assert ask(server).status_code == 200
    assert sent_credential(upstream) == f"Bearer {PROVIDER_KEY}"
    server.stop()
    server.start()
    assert ask(server).status_code == 200
    assert sent_credential(upstream) == f"Bearer {PROVIDER_KEY}"
    assert headrace("providers", "remove-key", "fake", home=server.home).returncode == 0
    assert ask(server).json()["error"]["code"] == "model_unavailable"


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_providers_key_comes_from_the_environment_or_a_file(
    server: RunningHeadrace, upstream: FakeUpstream, tmp_path: Path, source: str
) -> None:
    needs_key(server)
    if source == "environment":
        server.environment = {"FAKE_CANARY_KEY": PROVIDER_KEY}
    else:
        (tmp_path / "key").write_text(f"{PROVIDER_KEY}\n")
        (server.home / "headrace.toml").write_text(f'[credentials]\nfake = "{tmp_path / "key"}"\n')
    server.start()
    assert ask(server).status_code == 200
    assert sent_credential(upstream) == f"Bearer {PROVIDER_KEY}"
    listed = json.loads(headrace("providers", "list", "--json", home=server.home).stdout)["providers"]
    assert {each["name"]: each["credential_source"] for each in listed}["fake"] == "environment"


def test_neither_a_providers_key_nor_a_prompt_is_anywhere(server: RunningHeadrace, upstream: FakeUpstream) -> None:
    needs_key(server)
    server.start()
    assert headrace("providers", "set-key", "fake", stdin=PROVIDER_KEY, home=server.home).returncode == 0
    shown = [server.output]
    messages = [{"role": "user", "content": PROMPT}]
    with server.client() as client:
        for fields in ({}, {"stream": True}, {"model": "fake-chat2"}, {"stream": 7}, {"n": 1000}, {"model": "gpt-5"}):
            shown.append(client.post(CHAT, json={"model": FAKE, "messages": messages, **fields}).text)
        upstream.follow([error_reply(400, f"Too rude: {PROMPT}")])
        assert PROMPT in client.post(CHAT, json={"model": FAKE, "messages": messages}).text, "it is the caller's own"
        for status in (400, 500, 401):
            upstream.follow([error_reply(status, f"Incorrect API key provided: {PROVIDER_KEY}")])
            shown.append(client.post(CHAT, json={"model": FAKE, "messages": messages}).text)
    with server.client(server.admin_token) as admin:
        ids = [each["id"] for each in admin.get("/v2/requests").json()["requests"]]
        paths = ["/metrics", "/v2/providers", "/v2/requests", *(f"/v2/requests/{each}" for each in ids)]
        shown += [admin.get(path).text for path in paths]
    assert len(ids) == 6 and all(PROMPT.encode() in each.body for each in upstream.requests)
    assert server.stop() == 0
    shown += [server.log, server.output]
    kept = [each.read_bytes() for each in server.home.rglob("*") if each.is_file()]
    for canary in (PROVIDER_KEY, PROMPT):
        assert not [text for text in shown if canary in text]
        assert not [content for content in kept if canary.encode() in content]
    for secret in (server.api_key, server.admin_token):
        assert secret not in server.log and secret not in "".join(shown[1:-1])


def test_tls_of_the_homes_own_authority_works_for_clients_that_trust_it(
    server: RunningHeadrace, tmp_path: Path
) -> None:
    server.start("--tls")
    assert server.base_url.startswith("https://127.0.0.1:")
    [line] = [line for line in server.output.splitlines() if "Clients must trust: " in line]
    authority = Path(line.partition(": ")[2].strip().replace("~", str(Path.home()), 1))
    assert b"BEGIN CERTIFICATE" in authority.read_bytes() and server.home in authority.parents
    trust = ssl.create_default_context(cafile=str(authority))
    http = httpx2.Client(verify=trust, trust_env=False)
    with openai.OpenAI(
        base_url=f"{server.base_url}/v1", api_key=server.api_key, http_client=http, max_retries=0
    ) as client:
        assert client.chat.completions.create(model=FAKE, messages=BODY["messages"]).model == FAKE
        assert http.get(server.base_url.replace("127.0.0.1", "localhost") + "/healthz").status_code == 200
        check_stranger(server)
        fingerprint = authority.read_bytes()
        stopping = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - stopping < 6, "a client at rest is not waited for"
    server.start("--tls")
    assert authority.read_bytes() == fingerprint
    run = headrace("models", "--json", home=server.home)
    assert run.returncode == 0 and FAKE in run.stdout, "the command trusts its own home"


def check_stranger(server: RunningHeadrace) -> None:
    """Who does not know the authority, or speaks plain HTTP, gets nothing."""
    with httpx2.Client(trust_env=False) as stranger:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get(f"{server.base_url}/healthz")
        with pytest.raises(httpx2.TransportError):
            stranger.get(server.base_url.replace("https", "http") + "/healthz")


def test_tls_with_a_given_certificate(server: RunningHeadrace, tmp_path: Path) -> None:
    made = ensure_certificate(tmp_path, ("localhost",), FakeClock(unix_micros=time.time_ns() // 1000))
    given = {"HEADRACE_TLS_CERT": str(made.certificate_file), "HEADRACE_TLS_KEY": str(made.key_file)}
    server.environment = given
    server.start()
    address = server.base_url.replace("127.0.0.1", "localhost")
    trust = ssl.create_default_context(cafile=str(made.authority_file))
    with httpx2.Client(verify=trust, trust_env=False) as client:
        assert client.get(f"{address}/healthz").json() == {"status": "ok"}
    run = headrace("serve", "--tls-cert", str(made.certificate_file), home=tmp_path / "third")
    assert run.returncode == 2 and "--tls-key" in run.stderr


def test_settings_come_from_environment_variables(server: RunningHeadrace, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    config = tmp_path / "other.toml"
    config.write_text("[limits]\nmax_body_bytes = 2048\n")
    settings = {
        "HEADRACE_HOME": str(server.home),
        "HEADRACE_PORT": str(port),
        "HEADRACE_HOST": "127.0.0.1",
        "HEADRACE_CONFIG": str(config),
        "HEADRACE_ALLOWED_HOST": "models.example, other.example",
        "HEADRACE_LOG": "json",
        "FAKE": "1",
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251 - a child's environment
    server.home.mkdir(exist_ok=True)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "headrace", "serve"], env={**inherited, **settings}, stdout=log, stderr=log
        )
    try:
        base = f"http://127.0.0.1:{port}"
        eventually(lambda: "Headrace is ready" in (tmp_path / "log").read_text(), "the server is ready")
        assert server.credentials["base_url"] == base
        with httpx2.Client(
            base_url=base, trust_env=False, headers={"authorization": f"Bearer {server.api_key}"}
        ) as client:
            assert client.get("/v1/models", headers={"host": "other.example"}).status_code == 200
            assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 421
            assert client.post(CHAT, json={**BODY, "x": "y" * 3000}).status_code == 413
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert '"event":' in (tmp_path / "log").read_text()


def test_a_wrong_configuration_is_refused_with_file_line_and_fix(server: RunningHeadrace) -> None:
    (server.home / "headrace.toml").write_text("[server]\n\n[limits]\nmax_body_byte = 7\n")
    status, said = refused_start(server)
    assert status == 2
    assert f"{server.home / 'headrace.toml'}:4" in said and 'Did you mean "max_body_bytes"?' in said
    (server.home / "headrace.toml").unlink()
    set_provider(server, 'output = "0.20"', "output = 0.20")
    status, said = refused_start(server)
    assert status == 2
    assert re.search(rf"{server.home}/catalog/fake.toml:\d+", said)


def test_a_lost_credentials_file_is_made_anew_and_the_old_keys_still_work(server: RunningHeadrace) -> None:
    server.start()
    old = server.credentials
    server.stop()
    (server.home / "credentials.json").unlink()
    server.start()
    assert server.api_key != old["api_key"]
    for key in (server.api_key, old["api_key"]):
        with server.client(key) as client:
            assert client.get("/v1/models").status_code == 200
