"""GGUF headers: what is read of a whole one, and that cut, lying and random files end in one clear error."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import ConfigInvalid
from headrace.wire import gguf_header
from headrace.wire.gguf_header import GgufHeader, read_gguf
from tests.fakes.sizes import GGUF_KEYS, Value, gguf_bytes

WHOLE = gguf_bytes()


def read(data: bytes) -> GgufHeader:
    return read_gguf(io.BytesIO(data), len(data), "toy.gguf")


def keys(changes: Mapping[str, Value], *without: str) -> bytes:
    return gguf_bytes({name: value for name, value in {**GGUF_KEYS, **changes}.items() if name not in without})


def test_a_whole_header_is_read() -> None:
    assert read(WHOLE) == GgufHeader(
        architecture="toy",
        name="Toy",
        licence="mit",
        layers=4,
        hidden_size=64,
        heads=8,
        kv_heads=(2,),
        key_length=8,
        value_length=8,
        context_length=2048,
        vocabulary=3,
        parameters=192,
        quantisation="Q4_K_M",
        chat_template="{% if tools %}{% endif %}",
    )


def test_what_models_depart_in_is_read_too() -> None:
    found = read(
        keys(
            {
                "toy.attention.head_count_kv": [2, 0, 2, 0],
                "toy.attention.key_length": 16,
                "toy.attention.value_length": 12,
                "toy.attention.sliding_window": 512,
                "toy.attention.kv_lora_rank": 100,
                "toy.rope.dimension_count": 10,
                "toy.pooling_type": 0,
                "split.count": 3,
                "general.file_type": 999,
            },
            "tokenizer.chat_template",
            "general.name",
        )
    )
    assert (found.kv_heads, found.key_length, found.value_length, found.window) == ((2, 0, 2, 0), 16, 12, 512)
    assert (found.latent_elements, found.is_embedding, found.parts, found.quantisation) == (110, True, 3, "type 999")
    assert (found.chat_template, found.name) == (None, "")


def test_sizes_that_are_said_elsewhere_or_not_at_all() -> None:
    found = read(
        keys(
            {"toy.vocab_size": 77, "general.file_type": "odd", "toy.attention.head_count": [4, 8]},
            "tokenizer.ggml.tokens",
            "toy.attention.head_count_kv",
        )
    )
    assert (found.vocabulary, found.quantisation, found.heads, found.kv_heads) == (77, "unknown", 8, (8,))
    assert read(keys({}, "tokenizer.ggml.tokens")).vocabulary == 0
    assert read(keys({"toy.attention.kv_lora_rank": 100})).latent_elements == 100


@pytest.mark.parametrize(
    "key", ["toy.block_count", "toy.embedding_length", "toy.attention.head_count", "toy.context_length"]
)
def test_a_size_that_is_missing_is_named(key: str) -> None:
    with pytest.raises(ConfigInvalid, match=f'toy.gguf does not say its "{key}"'):
        read(keys({}, key))
    with pytest.raises(ConfigInvalid, match=key):
        read(keys({key: 0}))


def test_a_file_without_an_architecture_is_no_model() -> None:
    with pytest.raises(ConfigInvalid, match="does not say its architecture"):
        read(keys({}, "general.architecture"))


def test_a_cut_file_ends_in_one_error_wherever_it_was_cut() -> None:
    for length in range(len(WHOLE) - 32):
        with pytest.raises(ConfigInvalid, match=r"toy\.gguf cannot be read as a GGUF file"):
            read(WHOLE[:length])


def test_a_file_cut_within_its_tensors_is_told_from_a_whole_one() -> None:
    two = gguf_bytes(tensors=((64, 3), (64, 3)))
    assert read(two).parameters == 384
    with pytest.raises(ConfigInvalid, match="before its last tensor begins: fetch it again"):
        read(two[:-32])


def test_a_stream_that_gives_less_than_its_file_has_is_cut() -> None:
    with pytest.raises(ConfigInvalid, match="ends within its header"):
        read_gguf(io.BytesIO(WHOLE[:100]), len(WHOLE), "toy.gguf")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"GGML" + WHOLE[4:], "does not begin with GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "its version is 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "1,152,921,504,606,846,976 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "1,099,511,627,776 keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 50), "a text in it is said to have"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "unknown type 99"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 9, 1), "lists within lists"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 4, 1 << 60), "items of a list"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 4, 1000), "ends within its header"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 99), "99 dimensions"),
        (b"GGUF" + struct.pack("<IQQ" + "Q1sIB" * 2, 3, 0, 2, 1, b"k", 0, 1, 1, b"k", 0, 1), '"k" stands there twice'),
    ],
)
def test_lengths_and_types_are_not_believed(head: bytes, why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        read(head)


def test_a_header_has_a_bound_however_large_its_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "MOST_HEADER_BYTES", 64)
    with pytest.raises(ConfigInvalid, match="its header has more than 64 bytes"):
        read(WHOLE)


def test_long_lists_are_counted_and_not_kept() -> None:
    assert read(keys({"toy.long": [1] * 5_000})).layers == 4


def test_an_absurd_alignment_and_no_tensors_are_no_harm() -> None:
    assert read(keys({"general.alignment": 0})).layers == 4
    assert read(gguf_bytes(tensors=())).parameters == 0


@given(st.binary(max_size=300))
def test_no_bytes_are_anything_but_a_header_or_one_error(data: bytes) -> None:
    for each in (data, b"GGUF" + data, WHOLE[:24] + data):
        with pytest.raises(ConfigInvalid):
            read(each)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_one_changed_byte_is_read_or_refused(position: int, byte: int) -> None:
    changed = WHOLE[:position] + bytes([byte]) + WHOLE[position + 1 :]
    try:
        assert read(changed).layers > 0
    except ConfigInvalid as error:
        assert "toy.gguf" in error.message
