"""Which server is asked with which secret; a stored secret goes only where its file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.cli.access import Access, access_of
from headrace.cli.environment import Environment
from headrace.cli.options import ClientFlags
from headrace.domain.errors import HeadraceError

STORED = {"base_url": "http://127.0.0.1:9000", "api_key": "hr_stored", "admin_token": "hr_root"}


def write(home: Path, mode: int = 0o600, **changes: str) -> None:
    path = home / "credentials.json"
    path.write_text(json.dumps(STORED | changes))
    path.chmod(mode)


def access(home: Path, variables: dict[str, str] | None = None, **flags: str) -> Access:
    return access_of(ClientFlags(home=home, **flags), Environment(variables or {}))  # pyright: ignore[reportArgumentType] flags by name


def test_all_comes_from_the_home(tmp_path: Path) -> None:
    write(tmp_path)
    found = access(tmp_path)
    assert found.url == "http://127.0.0.1:9000"
    assert [found.secret("key"), found.secret("admin"), found.secret("either")] == ["hr_stored", "hr_root", "hr_root"]


@pytest.mark.parametrize("url", ["http://localhost:9000", "http://127.0.0.1:9000/v1/", "http://[::1]:9000"])
def test_another_name_of_the_same_server_takes_them_too(tmp_path: Path, url: str) -> None:
    write(tmp_path)
    assert access(tmp_path, url=url).secret("admin") == "hr_root"


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9000", "http://127.0.0.1:9001", "http://other.example:9000", "http://127.0.0.1"]
)
def test_another_server_never_sees_a_stored_secret(tmp_path: Path, url: str) -> None:
    write(tmp_path)
    found = access(tmp_path, {"HEADRACE_URL": url})
    for who in ("key", "admin", "either"):
        with pytest.raises(HeadraceError) as caught:
            found.secret(who)
        assert url in caught.value.message


def test_flag_before_environment_before_home(tmp_path: Path) -> None:
    write(tmp_path)
    variables = {"HEADRACE_API_KEY": "hr_env", "HEADRACE_URL": "http://127.0.0.1:9000"}
    assert access(tmp_path, variables).secret("key") == "hr_env"
    assert access(tmp_path, variables, api_key="hr_flag").secret("key") == "hr_flag"
    assert access(tmp_path, variables).secret("admin") == "hr_root"


def test_a_key_given_more_explicitly_than_the_token_reads_receipts(tmp_path: Path) -> None:
    write(tmp_path)
    assert access(tmp_path, {"HEADRACE_API_KEY": "hr_env"}).secret("either") == "hr_env"
    assert access(tmp_path, {"HEADRACE_ADMIN_TOKEN": "hr_env"}).secret("either") == "hr_env"
    assert access(tmp_path, {"HEADRACE_ADMIN_TOKEN": "hr_env"}, api_key="hr_flag").secret("either") == "hr_flag"


def test_the_admin_token_may_call_models(tmp_path: Path) -> None:
    assert access(tmp_path, {"HEADRACE_ADMIN_TOKEN": "hr_env"}).secret("key") == "hr_env"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, mode)
    with pytest.raises(HeadraceError, match="chmod 600"):
        access(tmp_path)


def test_a_home_where_nothing_was_started(tmp_path: Path) -> None:
    found = access(tmp_path)
    assert found.url == "http://127.0.0.1:8080"
    with pytest.raises(HeadraceError, match="headrace serve"):
        found.secret("either")


def test_the_authority_of_the_home_is_trusted_for_its_own_server_only(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/ca.pem").write_text("x")
    write(tmp_path)
    assert access(tmp_path).ca is None
    write(tmp_path, base_url="https://127.0.0.1:9000")
    assert access(tmp_path).ca == tmp_path / "tls/ca.pem"
    assert access(tmp_path, url="https://other.example").ca is None
    assert access(tmp_path, {"HEADRACE_CA": "/own.pem"}).ca == Path("/own.pem")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", "http://[::1", "http://u:p@x"]
)
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(HeadraceError, match="is not the address of a server"):
        access(tmp_path, url=url)


@pytest.mark.parametrize("key", ["hr_\n", "hr_ü", "hr a"])
def test_a_key_with_foreign_characters_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        access(tmp_path, api_key=key)
    assert key not in caught.value.message


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(HeadraceError, match="damaged"):
        access(tmp_path)
