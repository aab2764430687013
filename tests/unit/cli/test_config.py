"""A wrong configuration file is told by file, line, key and fix, everything at once."""

from pathlib import Path

import pytest

from headrace.cli.config import LARGEST_BYTES, AliasFile, decode_config, read_config
from headrace.domain.alias import Alias
from headrace.domain.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1\n", ("c.toml:2: server.prot: no such key", 'Did you mean "port"?')),
        ("[serve]\n", ("c.toml:1: serve: no such key", 'Did you mean "server"?')),
        ("[server]\nport = '80'\n", ("c.toml:2: server.port: expected `int | null`, got `str`, not '80'",)),
        ("[server]\nport = 70000\n", ("c.toml:2: server.port:", "65535", "70000")),
        ("[server]\nlog = 'xml'\n", ("c.toml:2: server.log:", "'xml'")),
        ("[limits]\n\ntotal_seconds = 0\n", ("c.toml:3: limits.total_seconds:",)),
        ("[limits]\nx_y_z = 0\n", ("no such key", "Known keys: max_body_bytes")),
        ("[drivers]\nray_address = 'here:8265'\n", ("c.toml:2: drivers.ray_address:", "'here:8265'")),
        ("[drivers]\nlocal_devices = [-1]\n", ("c.toml:2: drivers.local_devices",)),
        ("[drivers]\nray_adress = ''\n", ('Did you mean "ray_address"?',)),
        ("server = 1\n", ("c.toml:1: server: expected `object`",)),
        ("[credentials]\nopenai = 5\n", ("c.toml:2: credentials.openai: expected a path, not 5", "never the key")),
        ("[aliases]\ndaily = 'one'\n", ("c.toml:2: aliases.daily: expected a table, not 'one'", '[aliases."daily"]')),
        ("[aliases.daily]\n", ("c.toml:1: aliases.daily: points_to is missing",)),
        ("[aliases.daily]\npoints_to = 5\n", ("c.toml:2: aliases.daily.points_to: expected `str`, got `int`, not 5",)),
        ("[aliases.daily]\npoint_to = 'a'\n", ("c.toml:2: aliases.daily.point_to: no such key", '"points_to"')),
        ("[aliases.'a/b']\npoints_to = 'a'\nfallbacks = 'b'\n", ("c.toml:3: aliases.a/b.fallbacks: expected",)),
        ("aliases = 1\n", ("c.toml:1: aliases: expected `object`",)),
        ("a = \n", ("c.toml:1: not valid TOML",)),
        ("[server\n", ("c.toml:1: not valid TOML",)),
    ],
)
def test_what_is_wrong_is_named(text: str, said: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        decode_config("c.toml", text.encode())
    for part in (*said, "fix: "):
        assert part in caught.value.message
    assert caught.value.exit_status == 2


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        decode_config("c.toml", b"[server]\nport = 'x'\nhots = 1\n[limits]\ndrain_seconds = -1\n")
    assert [line.split(":")[1] for line in caught.value.message.splitlines() if line.startswith("c.toml")] == [
        "2",
        "3",
        "5",
    ]


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(ConfigInvalid, match=r"c\.toml:2: byte 2 is not UTF-8"):
        decode_config("c.toml", b"a\n\xff")


def test_drivers_are_told_where_their_clusters_and_tokens_are(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    cloud = "cloud_address = 'https://api.example'\ncloud_token_file = 't'\n"
    file.write_text(f"[drivers]\nlocal_devices = [0, 2]\n{cloud}")
    found = read_config(file).drivers
    assert (found.local_devices, found.cloud_address, found.ray_address) == ((0, 2), "https://api.example", None)
    assert (found.cloud_token_file, found.ray_token_file) == (tmp_path / "t", None)


def test_an_empty_file_is_right() -> None:
    assert decode_config("c.toml", b"").server.port is None


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(ConfigInvalid, match="larger"):
        read_config(path)


def test_aliases_are_read_as_the_file_stands_now(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    file = AliasFile(path)
    assert file.digest() == ""
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        file.read()
    path.write_text("[server]\r\nport = 1\r\n")
    assert file.read() == ()
    before = file.digest()
    path.write_text(
        '[aliases]\r\na = { points_to = "one" }\r\n\r\n[aliases."b/c"]\r\npoints_to = "two"\r\nfallbacks = ["one"]\r\n'
    )
    first, second = file.read()
    assert (first.alias, first.file, first.line) == (Alias("a", "one", (), 0, 0, "file"), str(path), 2)
    assert (second.alias, second.line) == (Alias("b/c", "two", ("one",), 0, 0, "file"), 4)
    assert file.digest() not in ("", before)
