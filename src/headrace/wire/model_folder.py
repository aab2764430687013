"""Reads what a folder of safetensors says of its model: config.json and sizes; what lies there is a driver's.

Source: https://huggingface.co/docs/transformers/main_classes/configuration (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.domain.architecture import CacheLayers
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_object

CONFIG, WEIGHTS, TEMPLATE = "config.json", ".safetensors", "chat_template.jinja"
UNREADABLE = "model_unreadable"
MOST_CONFIG_BYTES = 4 * 1024 * 1024
LARGEST = 1 << 31
_INNER = ("text_config", "language_config", "llm_config")
# Kinds of layers by the key that names them; letters are those of Nemotron's patterns. All others keep every token.
_WINDOWED, _CHUNKED = "sliding_attention", "chunked_attention"
_RECURRENT, _KEEPING_NOTHING = ("linear_attention", "mamba", "M"), ("mlp", "moe", "-", "E")
_KINDS = ("layer_types", "layers_block_type", "hybrid_override_pattern")


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder says of its model. `note` names what of its cache was taken for more than it may be."""

    architecture: str
    layers: int
    hidden_size: int
    heads: int
    vocabulary: int
    context_length: int
    cache: tuple[CacheLayers, ...]
    weight_bytes: int
    quantisation: str
    files: int
    has_chat_template: bool
    note: str = ""


def read_folder(name: str, config: bytes, sizes: Mapping[str, int], tokenizer: bytes = b"{}") -> FolderFacts:
    """Return what a folder holds; `sizes` are those of all its files, `tokenizer` is its tokenizer_config.json.

    Raises ConfigInvalid naming what is missing.
    """
    weights = {file: size for file, size in sizes.items() if file.endswith(WEIGHTS)}
    if not weights:
        raise ConfigInvalid(
            f"{name} has no {WEIGHTS} file, so there are no weights to run. Name a folder with config.json and"
            " safetensors, or a .gguf file.",
            code=UNREADABLE,
        )
    whole = _object(f"{name}/{CONFIG}", config)
    found = _Config(f"{name}/{CONFIG}", _inner(whole))
    layers, heads, hidden = (
        found.number("num_hidden_layers"),
        found.number("num_attention_heads"),
        found.number("hidden_size"),
    )
    cache, note = _cache(found, layers, heads, hidden)
    return FolderFacts(
        architecture=_architecture(whole),
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        vocabulary=found.number("vocab_size"),
        context_length=found.number("max_position_embeddings"),
        cache=cache,
        weight_bytes=sum(weights.values()),
        quantisation=_quantisation(whole),
        files=len(weights),
        has_chat_template=TEMPLATE in sizes or "chat_template" in _object(f"{name}/tokenizer_config.json", tokenizer),
        note=note,
    )


@dataclass(frozen=True, slots=True)
class _Config:
    file: str
    values: JsonObject

    def number(self, key: str) -> int:
        value = self.optional(key)
        if value is None:
            raise ConfigInvalid(
                f'{self.file} has no whole number at "{key}", so headrace cannot tell its size.',
                code=UNREADABLE,
            )
        return value

    def optional(self, key: str) -> int | None:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return value if 0 < value <= LARGEST else None


def _cache(found: _Config, layers: int, heads: int, hidden: int) -> tuple[tuple[CacheLayers, ...], str]:
    """Return what the layers keep; where the file does not say it, more rather than less, with a note."""
    latent = found.optional("kv_lora_rank")
    if latent is not None:
        elements = latent + (found.optional("qk_rope_head_dim") or 0) + (found.optional("index_head_dim") or 0)
        return (CacheLayers(layers, elements, 1),), ""
    kv_heads = found.optional("num_key_value_heads") or heads
    elements = 2 * kv_heads * (found.optional("head_dim") or max(1, hidden // heads))
    named = (found.values.get(key) for key in _KINDS)
    kinds = next((list[JsonValue](each) for each in named if isinstance(each, list | str) and each), None)
    window = found.optional("sliding_window")
    if kinds is None:
        is_windowed = window is not None and found.values.get("use_sliding_window") is not False
        note = "every layer taken for one that keeps all tokens" if is_windowed else ""
        return (CacheLayers(layers, elements, kv_heads),), note
    other = (_WINDOWED, _CHUNKED, *_RECURRENT, *_KEEPING_NOTHING)
    groups = (
        CacheLayers(sum(each not in other for each in kinds), elements, kv_heads),
        CacheLayers(kinds.count(_WINDOWED), elements, kv_heads, window),
        CacheLayers(kinds.count(_CHUNKED), elements, kv_heads, found.optional("attention_chunk_size")),
    )
    note = "the state of its recurrent layers is not counted" if any(each in _RECURRENT for each in kinds) else ""
    return tuple(each for each in groups if each.layers), note


def _object(file: str, data: bytes) -> JsonObject:
    if len(data) > MOST_CONFIG_BYTES:
        raise ConfigInvalid(f"{file} has more than {MOST_CONFIG_BYTES:,} bytes.", code=UNREADABLE)
    try:
        return decode_object(data)
    except InvalidRequest as error:
        raise ConfigInvalid(f"{file} is no JSON object: {error.message}", code=UNREADABLE) from error


def _inner(config: JsonObject) -> JsonObject:
    """Return the part about text; models that see images have it apart."""
    for name in _INNER:
        value = config.get(name)
        if isinstance(value, dict):
            return value
    return config


def _architecture(config: JsonObject) -> str:
    return next(_texts(config.get("architectures")), None) or next(_texts([config.get("model_type")]), "unknown")


def _quantisation(config: JsonObject) -> str:
    quantised = config.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    return next(_texts([method, config.get("torch_dtype"), config.get("dtype")]), "unknown")


def _texts(values: JsonValue) -> Iterator[str]:
    for each in values if isinstance(values, list) else []:
        if isinstance(each, str) and 0 < len(each) <= 200:
            yield each
