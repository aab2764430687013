"""Folders of safetensors: sizes from config.json in the forms that makers write, and what is refused."""

from __future__ import annotations

import pytest

from headrace.domain.architecture import CacheLayers
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import encode
from headrace.wire.model_folder import MOST_CONFIG_BYTES, FolderFacts, read_folder

CONFIG: JsonObject = {
    "architectures": ["ToyForCausalLM"],
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}
SIZES = {"config.json": 10, "a.safetensors": 100, "b.safetensors": 20, "README.md": 5}


def read(config: JsonObject, sizes: dict[str, int] = SIZES, tokenizer: bytes = b"{}") -> FolderFacts:
    return read_folder("toy", encode(config), sizes, tokenizer)


def cache(**changes: JsonValue) -> tuple[tuple[CacheLayers, ...], str]:
    found = read(CONFIG | changes)
    return found.cache, found.note


def test_a_plain_folder() -> None:
    assert read(CONFIG) == FolderFacts(
        architecture="ToyForCausalLM",
        layers=4,
        hidden_size=64,
        heads=8,
        vocabulary=1000,
        context_length=2048,
        cache=(CacheLayers(4, 32, 2),),
        weight_bytes=120,
        quantisation="bfloat16",
        files=2,
        has_chat_template=False,
    )


def test_what_layers_keep_is_read_in_every_form() -> None:
    assert cache(num_key_value_heads=None) == ((CacheLayers(4, 128, 8),), "")
    assert cache(head_dim=16) == ((CacheLayers(4, 64, 2),), "")
    assert cache(kv_lora_rank=512, qk_rope_head_dim=64, index_head_dim=128) == ((CacheLayers(4, 704, 1),), "")
    assert cache(kv_lora_rank=512) == ((CacheLayers(4, 512, 1),), "")
    kinds: list[JsonValue] = ["full_attention", "sliding_attention", "sliding_attention", "odd"]
    both = (CacheLayers(2, 32, 2), CacheLayers(2, 32, 2, 128))
    assert cache(layer_types=kinds, sliding_window=128) == (both, "")
    assert cache(sliding_window=128)[1] == "every layer taken for one that keeps all tokens"
    some: list[JsonValue] = ["linear_attention", "full_attention"]
    assert cache(layer_types=some) == ((CacheLayers(1, 32, 2),), "the state of its recurrent layers is not counted")


def test_layers_that_keep_little_or_nothing_are_told_apart_as_makers_name_them() -> None:
    chunked: list[JsonValue] = ["chunked_attention", "chunked_attention", "chunked_attention", "full_attention"]
    both = (CacheLayers(1, 32, 2), CacheLayers(3, 32, 2, 8192))
    assert cache(layer_types=chunked, attention_chunk_size=8192) == (both, "")
    recurrent = ((CacheLayers(1, 32, 2),), "the state of its recurrent layers is not counted")
    assert cache(hybrid_override_pattern="ME*-") == recurrent
    blocks: list[JsonValue] = ["mamba", "moe", "attention", "mlp"]
    assert cache(layers_block_type=blocks) == recurrent
    assert cache(sliding_window=131_072, use_sliding_window=False) == ((CacheLayers(4, 32, 2),), "")


def test_models_that_see_have_their_sizes_in_an_inner_part() -> None:
    inner: JsonObject = {"text_config": CONFIG, "model_type": "seeing", "quantization_config": {"quant_method": "fp8"}}
    found = read(inner)
    assert (found.layers, found.architecture, found.quantisation) == (4, "seeing", "fp8")


def test_templates_are_found_in_both_places() -> None:
    assert read(CONFIG, SIZES | {"chat_template.jinja": 1}).has_chat_template
    assert read(CONFIG, SIZES, b'{"chat_template": "x"}').has_chat_template


def test_words_that_are_missing_are_unknown() -> None:
    config = {name: value for name, value in CONFIG.items() if name not in {"architectures", "torch_dtype"}}
    found = read(config)
    assert (found.architecture, found.quantisation) == ("unknown", "unknown")


def test_a_folder_without_weights_is_none_of_a_model() -> None:
    with pytest.raises(ConfigInvalid, match=r"toy has no \.safetensors file"):
        read(CONFIG, {"config.json": 1})


@pytest.mark.parametrize("value", [None, 0, True, "4", 4.0, 1 << 40])
def test_a_size_that_is_no_whole_number_is_named(value: JsonValue) -> None:
    with pytest.raises(ConfigInvalid, match=r'toy/config\.json has no whole number at "vocab_size"'):
        read(CONFIG | {"vocab_size": value})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"\xff"])
def test_a_config_that_is_no_object_is_said_to_be(data: bytes) -> None:
    with pytest.raises(ConfigInvalid, match=r"toy/config\.json is no JSON object"):
        read_folder("toy", data, SIZES)


def test_a_config_has_a_bound() -> None:
    with pytest.raises(ConfigInvalid, match=r"toy/config\.json has more than"):
        read_folder("toy", b" " * (MOST_CONFIG_BYTES + 1), SIZES)
