"""Makes a catalogue model of a GGUF file or a folder of weights: what is written of it, and what may not be.

Looking at files, hashing and writing are the composition root's and its drivers'.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.domain.architecture import Architecture, CacheLayers, FactStatus
from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import ConfigInvalid
from headrace.domain.fit import DEFAULT_SLOTS as GPU_SLOTS
from headrace.domain.fit import PROCESSOR_OVERHEAD
from headrace.domain.json_value import JsonObject
from headrace.ports.model_files import FoundModel
from headrace.services.catalog import Catalog
from headrace.wire.gguf_header import GgufHeader
from headrace.wire.model_folder import FolderFacts
from headrace.wire.toml_text import table_text, without_table

PROVIDER, FILE_NAME = "local", "local.toml"
DEFAULT_CONTEXT, DEFAULT_SLOTS = 4_096, 4
DEFAULT_OUTPUT = 1_024
# What a replica really takes was up to a tenth more than weights, cache and overhead come to.
MARGIN_PERCENT = 110
BYTES_PER_MIB = 1024 * 1024
UNKNOWN_LICENCE = "not said in the file"

HEADING = f"""# Models of this machine; `headrace models add` writes below. Yours to change: docs/embedded-models.md.

[provider]
name = "{PROVIDER}"
display_name = "Models of this machine"
base_url = "local:"
auth = "none"
"""
_CAPABILITIES = ("streaming", "json_object", "json_schema", "logprobs", "seed", "multiple_choices", "prompt_cache")
_SERVED = ("streaming", "json_object", "json_schema", "logprobs", "seed")
_BAD_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class AddWishes:
    """What the operator asks for; None leaves it to the file."""

    name: str | None = None
    context_length: int | None = None
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class AddEngines:
    """The engines that run a file, and a folder."""

    file: str
    folder: str


@dataclass(frozen=True, slots=True)
class Addition:
    """A model that is ready to be written down; `notes` are what the operator should know of it.

    `memory_bytes` is what one replica is expected to take on a processor, 0 for a folder, which runs on GPUs.
    """

    model_id: str
    found: FoundModel
    engine: str
    architecture: Architecture
    context_length: int
    slots: int
    memory_bytes: int
    quantisation: str
    licence: str
    notes: tuple[str, ...]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which only deployments run."""
        return isinstance(self.found.facts, FolderFacts)

    def weights(self, sha256: str) -> WeightsFile:
        """Return its file as weights of that hash; only for a file."""
        path = self.found.path
        return WeightsFile(path.name, sha256, self.found.size_bytes, self.licence, (f"file:{path}",))


def addition(found: FoundModel, wishes: AddWishes, day: str, engines: AddEngines, catalog: Catalog) -> Addition:
    """Return the model that a path becomes; raises ConfigInvalid for a name that is taken and for what cannot run."""
    name = _name(found.path, wishes.name)
    _check_free(name, catalog)
    facts = found.facts
    architecture = _of_file(found, facts, name, day) if isinstance(facts, GgufHeader) else _of_folder(facts, name, day)
    architecture = replace(architecture, source=f"{found.path}, read {day}")
    context = _wished("context", wishes.context_length, DEFAULT_CONTEXT, architecture.context_length)
    is_file = isinstance(facts, GgufHeader)
    slots = _wished("slots", wishes.slots, DEFAULT_SLOTS if is_file else GPU_SLOTS, 1024)
    return Addition(
        model_id=name,
        found=found,
        engine=engines.file if is_file else engines.folder,
        architecture=architecture,
        context_length=context if is_file else wishes.context_length or architecture.context_length,
        slots=slots,
        memory_bytes=_memory(architecture, context, slots) if is_file else 0,
        quantisation=facts.quantisation,
        licence=(facts.licence if isinstance(facts, GgufHeader) else "") or UNKNOWN_LICENCE,
        notes=tuple(_notes(facts, architecture)),
    )


def catalog_text(old: str | None, added: Addition, day: str, sha256: str | None) -> str:
    """Return the operator's catalogue file with the model below what it had; a folder has no `sha256`."""
    body = table_text("models", _table(added, day))
    local = _local_text(added, sha256)
    price = "" if added.is_folder else f"{table_text('models.prices', _price(day))}\n\n"
    return f"{(old or HEADING).rstrip()}\n\n{body}\n\n{price}{local}\n"


def without_model(text: str, model_id: str, file: str) -> str:
    """Return the operator's catalogue file without a model; raises ConfigInvalid where its end cannot be told."""
    rest = without_table(text, "models", lambda table: table.get("id") == model_id)
    if rest is None:
        raise ConfigInvalid(
            f'{file}: it cannot be told by its lines where "{model_id}" begins and ends; delete its tables by hand.',
            code="file_unusual",
        )
    return rest


def _table(added: Addition, day: str) -> dict[str, object]:
    facts = added.found.facts
    has_tools = isinstance(facts, GgufHeader) and "tools" in (facts.chat_template or "")
    capabilities = list(_SERVED if added.is_folder else _CAPABILITIES)
    table: dict[str, object] = {
        "id": added.model_id,
        "display_name": _title(added),
        "owned_by": PROVIDER,
        "kind": "chat",
        "capabilities": [*capabilities, "tool_choice"] if has_tools else capabilities,
    }
    if has_tools:
        table["best_effort"] = ["tools"]
    return table | {
        "context_length": added.context_length,
        "max_output_tokens": added.context_length,
        "default_output_tokens": min(DEFAULT_OUTPUT, added.context_length),
        "description": f"{added.architecture.name}, {added.quantisation}, from {added.found.path.name}.",
        "licence": added.licence,
        "source": str(added.found.path),
        "checked_on": datetime.date.fromisoformat(day),
    }


def _price(day: str) -> dict[str, object]:
    """It costs nobody a token; an operator who wants receipts with figures writes others."""
    return {
        "effective": datetime.date.fromisoformat(day),
        "source": "this machine's own, set by headrace models add",
        "input": "0",
        "output": "0",
    }


def _local_text(added: Addition, sha256: str | None) -> str:
    mib = max(1, -(-(added.memory_bytes or added.found.size_bytes) // BYTES_PER_MIB))
    lines: list[str] = [f"memory_mib = {mib}", f"slots = {added.slots}"]
    table: dict[str, object] = {"engine": added.engine}
    if sha256 is None:
        table["source"] = str(added.found.path)
    head = table_text("models.local", table).replace("[[models.local]]", "[models.local]")
    text = "\n".join([head, *lines])
    if sha256 is None:
        return text
    file = added.weights(sha256)
    weights: dict[str, object] = {
        "name": file.name,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "licence": file.licence,
        "sources": list(file.sources),
    }
    return f"{text}\n\n{table_text('models.local.weights', weights)}"


def _name(path: Path, wished: str | None) -> str:
    if wished is not None:
        if _NAME.match(wished) is None:
            raise ConfigInvalid(
                f'"{wished[:80]}" cannot be a name: letters, digits and . _ : / -, at most 128 of them.', code="usage"
            )
        return wished
    stem = path.name[: -len(".gguf")] if path.name.lower().endswith(".gguf") else path.name
    name = _BAD_IN_NAME.sub("-", stem).strip("-._").lower()[:128]
    if not name:
        raise ConfigInvalid(f"{path} has no name that a model could have: give --name.", code="usage")
    return name


def _check_free(name: str, catalog: Catalog) -> None:
    there = catalog.models.get(name)
    if there is None:
        return
    if there[0].provider == PROVIDER:
        raise ConfigInvalid(
            f'"{name}" stands in {FILE_NAME} already: `headrace models remove {name}`, or give another --name.',
            code="name_taken",
        )
    raise ConfigInvalid(
        f'"{name}" is the name of a model of {there[0].provider}: give another --name.', code="name_taken"
    )


def _wished(what: str, wished: int | None, otherwise: int, most: int) -> int:
    if wished is None:
        return min(otherwise, most)
    if not 1 <= wished <= most:
        raise ConfigInvalid(f"--{what} must be from 1 to {most:,}, not {wished:,}.", code="usage")
    return wished


def _memory(architecture: Architecture, context: int, slots: int) -> int:
    needed = architecture.weight_bytes + architecture.cache_bytes(context, slots)
    return (needed + PROCESSOR_OVERHEAD.bytes_of(architecture, slots)) * MARGIN_PERCENT // 100


def _of_file(found: FoundModel, facts: GgufHeader, name: str, day: str) -> Architecture:
    if facts.is_embedding:
        raise ConfigInvalid(
            f"{found.path} is a model for embeddings ({facts.architecture}); files of chat models can be added.",
            code="model_unusable",
        )
    if facts.parts > 1:
        raise ConfigInvalid(
            f"{found.path} is one of {facts.parts} parts. Join them (llama-gguf-split --merge) and add the whole.",
            code="model_unusable",
        )
    is_sure = facts.window is None and 0 not in facts.kv_heads
    return Architecture(
        name=facts.name or facts.architecture,
        models=(name,),
        parameters=max(1, facts.parameters),
        weight_bytes=found.size_bytes,
        hidden_size=facts.hidden_size,
        vocabulary=max(1, facts.vocabulary),
        attention_heads=facts.heads,
        context_length=facts.context_length,
        cache=_cache(facts),
        source="",
        status=FactStatus.VERIFIED if is_sure else FactStatus.DERIVED,
        checked_on=day,
        note="" if is_sure else "the file does not say which layers keep less than all tokens, so all were counted",
    )


def _cache(facts: GgufHeader) -> tuple[CacheLayers, ...]:
    if facts.latent_elements is not None:
        return (CacheLayers(facts.layers, facts.latent_elements, 1),)
    by_layer = facts.kv_heads if len(facts.kv_heads) == facts.layers else facts.kv_heads * facts.layers
    each = facts.key_length + facts.value_length
    return tuple(
        CacheLayers(by_layer.count(heads), heads * each, heads)
        for heads in sorted(set(by_layer), reverse=True)
        if heads
    )


def _of_folder(facts: FolderFacts, name: str, day: str) -> Architecture:
    return Architecture(
        name=facts.architecture,
        models=(name,),
        parameters=max(1, facts.weight_bytes // 2),
        weight_bytes=facts.weight_bytes,
        hidden_size=facts.hidden_size,
        vocabulary=facts.vocabulary,
        attention_heads=facts.heads,
        context_length=facts.context_length,
        cache=facts.cache,
        source="",
        status=FactStatus.DERIVED if facts.note else FactStatus.VERIFIED,
        checked_on=day,
        note=facts.note,
    )


def _notes(facts: GgufHeader | FolderFacts, architecture: Architecture) -> list[str]:
    has_template = facts.has_chat_template if isinstance(facts, FolderFacts) else facts.chat_template is not None
    notes = [] if has_template else ["It brings no chat template, so its engine takes one of its own."]
    if architecture.note:
        notes.append(f"Of its sizes: {architecture.note}.")
    return notes


def _title(added: Addition) -> str:
    facts = added.found.facts
    return (facts.name if isinstance(facts, GgufHeader) else "") or added.model_id


def as_object(added: Addition) -> JsonObject:
    """Return what the addition is in plain values, for machines."""
    return {
        "model": added.model_id,
        "path": str(added.found.path),
        "engine": added.engine,
        "architecture": added.architecture.name,
        "parameters": added.architecture.parameters,
        "quantisation": added.quantisation,
        "size_bytes": added.found.size_bytes,
        "context_length": added.context_length,
        "slots": added.slots,
        "memory_bytes": added.memory_bytes,
        "notes": [*added.notes],
    }
