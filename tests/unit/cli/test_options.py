"""Flag before environment before file before default."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.environment import Environment
from headrace.cli.options import ServeFlags, home_of, serve_options
from headrace.domain.errors import ConfigInvalid
from headrace.domain.settings import ServeOptions

FILE = """
[server]
host = "10.0.0.1"
port = 7001
allowed_hosts = ["file.example"]
log = "json"
pull = true

[limits]
max_body_bytes = 2048
engine_memory_mib = 4096
first_event_seconds = 30

[credentials]
openai = "keys/openai"
"""
EVERYTHING = {
    "HEADRACE_HOST": "10.0.0.2",
    "HEADRACE_PORT": "7002",
    "HEADRACE_ALLOWED_HOST": "one.example,two.example",
    "HEADRACE_LOG": "pretty",
    "HEADRACE_PULL": "0",
}


def options(in_home: Path, variables: dict[str, str] | None = None, /, **flags: object) -> ServeOptions:
    return serve_options(ServeFlags(**flags), Environment({"HEADRACE_HOME": str(in_home)} | (variables or {})))  # pyright: ignore[reportArgumentType] flags by name


def test_defaults(tmp_path: Path) -> None:
    assert options(tmp_path) == ServeOptions(tmp_path)


def test_the_file_in_the_home_is_read(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text(FILE)
    found = options(tmp_path)
    assert (found.host, found.port, found.log_format, found.pull) == ("10.0.0.1", 7001, "json", True)
    assert found.allowed_hosts == ("file.example",)
    assert (found.limits.max_body_bytes, found.limits.engine_memory_mib) == (2048, 4096)
    assert (found.limits.first_event_seconds, found.limits.connect_seconds) == (30, 3)
    assert found.credential_files == {"openai": tmp_path / "keys/openai"}
    assert found.config == tmp_path / "headrace.toml"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text(FILE)
    found = options(tmp_path, EVERYTHING)
    assert (found.host, found.port, found.log_format, found.pull) == ("10.0.0.2", 7002, "pretty", False)
    assert found.allowed_hosts == ("one.example", "two.example")


def test_a_flag_wins_over_all(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text(FILE)
    found = options(
        tmp_path, EVERYTHING, host="::1", port=0, allowed_host=("a,b", "c"), log="json", pull=True, home=tmp_path / "h"
    )
    assert (found.host, found.port, found.log_format, found.pull) == ("::1", 0, "json", True)
    assert found.allowed_hosts == ("a", "b", "c")
    assert found.home == tmp_path / "h"
    assert found.config is None


def test_a_named_file_may_name_home_and_certificates(tmp_path: Path) -> None:
    file = tmp_path / "etc.toml"
    file.write_text('[server]\nhome = "h"\ntls_cert = "c.pem"\ntls_key = "/k.pem"\n')
    found = serve_options(ServeFlags(config=file), Environment({}))
    assert (found.home, found.tls_cert, found.tls_key) == (tmp_path / "h", tmp_path / "c.pem", Path("/k.pem"))
    assert found.base_url == "https://127.0.0.1:8080"
    assert options(tmp_path / "other", {"HEADRACE_CONFIG": str(file)}).home == tmp_path / "other"


def test_the_file_in_the_home_cannot_move_the_home(tmp_path: Path) -> None:
    (tmp_path / "headrace.toml").write_text('[server]\nhome = "elsewhere"\n')
    with pytest.raises(ConfigInvalid, match=r"server\.home"):
        options(tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"port": 70_000}, "70000"),
        ({"tls_cert": Path("c")}, "--tls-key"),
        ({"tls_key": Path("k")}, "--tls-cert"),
        ({"tls": True, "tls_cert": Path("c"), "tls_key": Path("k")}, "Drop --tls"),
        ({"config": Path("/nonexistent/x.toml")}, "/nonexistent/x.toml"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, flags: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        options(tmp_path, None, **flags)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080"), ("fe80::1", "http://[fe80::1]:8080")],
)
def test_the_address_for_a_client_on_this_machine(host: str, url: str) -> None:
    assert ServeOptions(Path("/h"), host).base_url == url


def test_a_configuration_named_by_the_environment_says_where_the_home_is(tmp_path: Path) -> None:
    file = tmp_path / "etc.toml"
    file.write_text('[server]\nhome = "h"\n')
    variables = {"HEADRACE_CONFIG": str(file)}
    assert home_of(None, Environment(variables)) == tmp_path / "h"
    assert home_of(None, Environment(variables | {"HEADRACE_HOME": "/other"})) == Path("/other")
    assert home_of(Path("/flag"), Environment(variables)) == Path("/flag")


@pytest.mark.parametrize("host", ["10.0.0.7:9000", "hooks.internal:443", "[::1]:9000"])
def test_private_hosts_of_webhooks_are_named_exactly(tmp_path: Path, host: str) -> None:
    assert options(tmp_path, {"HEADRACE_WEBHOOK_HOST": f"{host}, a.internal:1"}).webhook_hosts == (host, "a.internal:1")
    (tmp_path / "headrace.toml").write_text(f'[server]\nwebhook_hosts = ["{host}"]\n')
    assert options(tmp_path).webhook_hosts == (host,)
    assert options(tmp_path, webhook_host=("b.internal:2",)).webhook_hosts == ("b.internal:2",)


@pytest.mark.parametrize(
    "host", ["hooks.internal", "http://hooks.internal:80", "*.internal:443", "10.0.0.0/8:80", "A:1"]
)
def test_what_is_no_host_and_port_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigInvalid, match="is no host and port"):
        options(tmp_path, webhook_host=(host,))
