"""What becomes of a file or a folder: its name, its sizes, the tables that are written, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from headrace.domain.architecture import CacheLayers, FactStatus
from headrace.domain.catalog import Model
from headrace.domain.errors import ConfigInvalid
from headrace.ports.model_files import FoundModel
from headrace.services.catalog import Catalog, build_catalog
from headrace.services.model_adding import (
    BYTES_PER_MIB,
    HEADING,
    AddEngines,
    Addition,
    AddWishes,
    addition,
    as_object,
    catalog_text,
)
from headrace.wire.catalog_file import CatalogText
from headrace.wire.gguf_header import GgufHeader
from headrace.wire.model_folder import FolderFacts
from tests.fakes.nouns import a_model

DAY, SHA = "2026-11-28", "ab" * 32
ENGINES = AddEngines("files", "folders")
HEADER = GgufHeader(
    architecture="toy",
    name="Toy 1B",
    licence="mit",
    layers=4,
    hidden_size=64,
    heads=8,
    kv_heads=(2,),
    key_length=8,
    value_length=8,
    context_length=32_768,
    vocabulary=1000,
    parameters=1_000_000,
    quantisation="Q4_K_M",
    chat_template="{% if tools %}",
)
FOLDER = FolderFacts("ToyForCausalLM", 4, 64, 8, 1000, 32_768, (CacheLayers(4, 32, 2),), 2_000, "bfloat16", 2, True)


def add(
    facts: GgufHeader | FolderFacts = HEADER,
    path: str = "/models/Toy 1B.Q4_K_M.gguf",
    wishes: AddWishes | None = None,
    *models: Model,
) -> Addition:
    by_id = MappingProxyType({each.id: (each,) for each in models})
    found = FoundModel(Path(path), 10 * BYTES_PER_MIB, facts)
    return addition(found, wishes or AddWishes(), DAY, ENGINES, Catalog(MappingProxyType({}), by_id))


def read(text: str) -> Model:
    return read_all(text)[0]


def read_all(text: str) -> list[Model]:
    catalog = build_catalog([CatalogText("local.toml", "local", "operator", text.encode())], frozenset({"files"}))
    return [each for entries in catalog.models.values() for each in entries]


def test_a_file_becomes_a_model_that_the_catalogue_reads() -> None:
    added = add()
    model = read(catalog_text(None, added, DAY, SHA))
    assert (model.id, model.provider, model.display_name) == ("toy-1b.q4_k_m", "local", "Toy 1B")
    assert (model.context_length, model.max_output_tokens, model.default_output_tokens) == (4096, 4096, 1024)
    assert "tool_choice" in model.capabilities
    assert model.best_effort == {"tools"}
    assert model.price_on(DAY) is not None
    assert model.local is not None
    assert (model.local.engine, model.local.slots, model.local.source) == ("files", 4, "")
    (file,) = model.local.weights
    assert file == added.weights(SHA)
    assert (file.name, file.sources) == ("Toy 1B.Q4_K_M.gguf", ("file:/models/Toy 1B.Q4_K_M.gguf",))
    assert added.memory_bytes <= model.local.memory_bytes < added.memory_bytes + BYTES_PER_MIB


def test_a_folder_becomes_a_model_that_only_deployments_run() -> None:
    added = add(FOLDER, "/models/Toy")
    model = read(catalog_text(None, added, DAY, None))
    assert (model.id, model.prices, model.context_length) == ("toy", (), 32_768)
    assert model.local is not None
    assert (model.local.engine, model.local.weights, model.local.source) == ("folders", (), "/models/Toy")
    assert "tool_choice" not in model.capabilities
    assert (added.is_folder, added.memory_bytes, added.slots) == (True, 0, 8)


def test_a_second_model_goes_below_the_first_and_what_was_there_stays() -> None:
    first = catalog_text(None, add(), DAY, SHA)
    own = f"{first}\n# mine\n"
    both = catalog_text(own, add(wishes=AddWishes("other")), DAY, SHA)
    assert both.startswith(own.rstrip())
    assert [each.id for each in read_all(both)] == ["other", "toy-1b.q4_k_m"]
    assert first.startswith(HEADING)


def test_the_sizes_are_the_files_own() -> None:
    sizes = add().architecture
    assert (sizes.models, sizes.weight_bytes, sizes.cache) == (
        ("toy-1b.q4_k_m",),
        10 * BYTES_PER_MIB,
        (CacheLayers(4, 32, 2),),
    )
    assert (sizes.status, sizes.checked_on, sizes.source) == (
        FactStatus.VERIFIED,
        DAY,
        "/models/Toy 1B.Q4_K_M.gguf, read 2026-11-28",
    )
    mixed = add(replace(HEADER, kv_heads=(2, 0, 4, 2))).architecture
    assert mixed.cache == (CacheLayers(1, 64, 4), CacheLayers(2, 32, 2))
    assert mixed.status is FactStatus.DERIVED
    assert add(replace(HEADER, latent_elements=576)).architecture.cache == (CacheLayers(4, 576, 1),)
    assert add(replace(FOLDER, note="x"), "/m").architecture.status is FactStatus.DERIVED
    assert add(FOLDER, "/m").architecture.status is FactStatus.VERIFIED


def test_what_the_operator_should_know_is_noted() -> None:
    assert add().notes == ()
    assert "no chat template" in add(replace(HEADER, chat_template=None)).notes[0]
    assert "no chat template" in add(replace(FOLDER, has_chat_template=False), "/m").notes[0]
    assert "all were counted" in add(replace(HEADER, window=512)).notes[0]


def test_wishes_go_before_what_the_file_suggests() -> None:
    added = add(wishes=AddWishes("my/model:1", 8192, 2))
    assert (added.model_id, added.context_length, added.slots) == ("my/model:1", 8192, 2)
    assert add(FOLDER, "/m", AddWishes(context_length=99)).context_length == 99
    assert add(replace(HEADER, context_length=512)).context_length == 512
    assert as_object(added)["model"] == "my/model:1"


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        (AddWishes(name="no spaces"), '"no spaces" cannot be a name'),
        (AddWishes(context_length=32_769), "--context must be from 1 to 32,768"),
        (AddWishes(slots=0), "--slots must be from 1 to 1,024"),
    ],
)
def test_wrong_wishes_are_refused(wishes: AddWishes, why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        add(wishes=wishes)


def test_a_name_is_made_of_the_files() -> None:
    assert add(path="/m/A b+C.GGUF").model_id == "a-b-c"
    assert add(replace(HEADER, name=""), "/m/x.gguf").model_id == "x"
    with pytest.raises(ConfigInvalid, match="give --name"):
        add(path="/m/---.gguf")


def test_names_that_are_taken_are_refused_with_where() -> None:
    with pytest.raises(ConfigInvalid, match=r"stands in local\.toml already"):
        add(HEADER, "/m/one.gguf", None, a_model("one", provider="local"))
    with pytest.raises(ConfigInvalid, match="is the name of a model of acme: give another --name"):
        add(HEADER, "/m/one.gguf", None, a_model("one"))


def test_parts_and_embeddings_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="one of 3 parts"):
        add(replace(HEADER, parts=3))
    with pytest.raises(ConfigInvalid, match="is a model for embeddings"):
        add(replace(HEADER, is_embedding=True))


def test_names_and_licences_that_are_missing_are_no_empty_texts() -> None:
    model = read(
        catalog_text(None, add(replace(HEADER, name="", licence="", chat_template=None), "/m/x.gguf"), DAY, SHA)
    )
    assert (model.display_name, model.licence) == ("x", "not said in the file")
    assert "tool_choice" not in model.capabilities
