"""Architecture files: what is read, what goes before what, what is refused with line and fix, and what ships."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib import resources

import jsonschema
import pytest

from headrace.domain.architecture import Architecture, CacheLayers, FactStatus
from headrace.domain.errors import ConfigInvalid
from headrace.wire.architecture_file import ArchitectureText, architecture_book, architecture_text
from headrace.wire.architecture_schema import schema_text
from tests.fakes.sizes import an_architecture

CATALOG = resources.files("headrace.catalog")
SHIPPED = CATALOG.joinpath("architectures.toml").read_text(encoding="utf-8")
ONE = """
[[architectures]]
name = "One"
models = ["acme/one", "one"]
parameters = 100
weight_bytes = 200
hidden_size = 64
vocabulary = 1000
attention_heads = 8
context_length = 4096
source = "https://example.com/config.json"
status = "derived"
checked_on = 2026-11-28
state_bytes = 5
gated = true
note = "a guess"
"""
HEADS = "[[architectures.cache]]\nlayers = 4\nkv_heads = 2\nhead_dim = 8\n"


def read(*texts: str) -> list[Architecture]:
    return list(architecture_book([ArchitectureText("a.toml", each.encode()) for each in texts]).architectures)


def test_every_field_is_read() -> None:
    latent = (
        "[[architectures.cache]]\nlayers = 2\nelements = 577\nwindow = 128\ntokens_per_entry = 4\nelement_bytes = 1\n"
    )
    assert read(f"{ONE}{HEADS}{latent}") == [
        Architecture(
            name="One",
            models=("acme/one", "one"),
            parameters=100,
            weight_bytes=200,
            hidden_size=64,
            vocabulary=1000,
            attention_heads=8,
            context_length=4096,
            cache=(CacheLayers(4, 32, 2), CacheLayers(2, 577, 1, 128, 4, 1)),
            source="https://example.com/config.json",
            status=FactStatus.DERIVED,
            checked_on="2026-11-28",
            state_bytes=5,
            is_gated=True,
            note="a guess",
        )
    ]


def test_what_is_written_is_read_again() -> None:
    first = an_architecture(cache=(CacheLayers(4, 32, 2, window=9), CacheLayers(2, 577, 1, None, 4, 1)))
    plain = replace(an_architecture(cache=()), checked_on=None)
    derived = replace(first, status=FactStatus.DERIVED, note='a "guess"', state_bytes=7, is_gated=True)
    written = "\n\n".join(architecture_text(each) for each in (first, plain, derived))
    assert read(written) == [first, plain, derived]


def test_the_last_one_of_a_name_counts_and_any_case_will_do() -> None:
    book = architecture_book(
        [
            ArchitectureText("a", f'folder_engine = "x"\n{ONE}{HEADS}'.encode()),
            ArchitectureText("b", ONE.replace("One", "Own").encode()),
        ]
    )
    found = book.find("nobody", "ACME/ONE")
    assert found is not None
    assert found.name == "Own"
    assert (book.folder_engine, book.find("two"), list(book.names())) == ("x", None, ["acme/one", "one"] * 2)


@pytest.mark.parametrize(
    "cache",
    [
        "layers = 1",
        "layers = 1\nkv_heads = 2",
        "layers = 1\nhead_dim = 2",
        "layers = 1\nkv_heads = 1\nhead_dim = 2\nelements = 3",
    ],
)
def test_layers_must_say_what_they_keep(cache: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"a.toml:17: architectures\[0\]\.cache\[0\]: .*\n.*kv_heads and head_dim"):
        read(f"{ONE}[[architectures.cache]]\n{cache}\n")


def test_a_wrong_key_is_named_with_its_line_and_fix() -> None:
    with pytest.raises(ConfigInvalid, match=r'a.toml:6: .*"weights_bytes" is not a key here\n.*weight_bytes'):
        read(ONE.replace("weight_bytes", "weights_bytes"))


def test_the_schema_in_the_package_is_that_of_the_types() -> None:
    assert CATALOG.joinpath("architectures.schema.json").read_text(encoding="utf-8") == schema_text()
    raw = json.loads(json.dumps(tomllib.loads(SHIPPED), default=str))
    jsonschema.validate(raw, json.loads(schema_text()))


def test_what_ships_is_whole_and_no_name_stands_twice() -> None:
    book = architecture_book([ArchitectureText("shipped", SHIPPED.encode())])
    names = [each.casefold() for each in book.names()]
    assert len(set(names)) == len(names)
    assert book.folder_engine
    for each in book.architectures:
        assert each.cache
        assert "/" in each.models[0]
        assert each.source.startswith("https://huggingface.co/")
        assert each.checked_on is not None
        assert (each.status is FactStatus.DERIVED) == bool(each.note), each.name
        assert each.weight_bytes >= each.parameters // 2, each.name
