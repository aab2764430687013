"""`models add` on a real home: what is written where, a refusal writes nothing; and what `models remove` takes out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.app.adapters import ADAPTERS
from headrace.app.model_files import AddedModels
from headrace.domain.catalog import Model
from headrace.domain.errors import ConfigInvalid
from headrace.domain.fit import FitAsked
from headrace.drivers.ambient import SystemClock, ThreadOffload
from headrace.drivers.catalogs.accelerators import AcceleratorFiles
from headrace.drivers.catalogs.architectures import ArchitectureFiles
from headrace.drivers.catalogs.files import CatalogFiles
from headrace.drivers.weights.store import WeightsStore
from headrace.services.catalog import build_catalog
from headrace.services.fitting import Fitting
from headrace.services.model_adding import AddWishes
from headrace.testing.clock import FakeClock
from headrace.wire.catalog_file import CatalogText
from tests.fakes.sizes import GGUF_KEYS, Value, gguf_bytes

CONFIG = (
    '{"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 100,'
    ' "max_position_embeddings": 2048}'
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


class OwnFiles(CatalogFiles):
    """The operator's files alone: what ships takes long to check."""

    def read(self) -> tuple[CatalogText, ...]:
        return tuple(each for each in super().read() if each.origin == "operator")


def adder(home: Path) -> AddedModels:
    return AddedModels(home, FakeClock(), OwnFiles)


def models_of(home: Path) -> Mapping[str, tuple[Model, ...]]:
    return build_catalog(OwnFiles(home / "catalog").read(), ADAPTERS).models


def a_file(folder: Path, name: str = "Toy.gguf", keys: Mapping[str, Value] = GGUF_KEYS) -> Path:
    path = folder / name
    path.write_bytes(gguf_bytes(keys))
    return path


def add(home: Path, path: Path, wishes: AddWishes | None = None) -> Path:
    added = adder(home).look(path, wishes or AddWishes())
    return adder(home).add(added, lambda _: None)


def test_a_file_is_in_catalogue_sizes_and_store(home: Path, tmp_path: Path) -> None:
    path = a_file(tmp_path)
    assert add(home, path) == home / "catalog" / "local.toml"
    (model,) = models_of(home)["toy"]
    assert model.local is not None
    (file,) = model.local.weights
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    place = WeightsStore(home, (), SystemClock(), ThreadOffload(1)).path(file)
    assert place is not None
    assert place.resolve() == path
    fitting = Fitting(ArchitectureFiles(home / "architectures.toml"), AcceleratorFiles(None))
    fit = fitting.judge(model, FitAsked("h100"))
    assert (fit.is_computed, fit.fits, fit.weight_bytes) == (True, True, file.size_bytes)


def test_a_folder_and_a_second_file_go_beside_the_first(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Big Model"
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG)
    (folder / "model.safetensors").write_bytes(bytes(64))
    add(home, a_file(tmp_path))
    add(home, folder)
    add(home, a_file(tmp_path, "Two.gguf"), AddWishes(name="second"))
    models = models_of(home)
    assert set(models) == {"toy", "big-model", "second"}
    local = models["big-model"][0].local
    assert local is not None
    assert (local.source, local.weights) == (str(folder), ())
    assert local.engine == ArchitectureFiles(None).read().folder_engine


def test_a_name_is_taken_once(home: Path, tmp_path: Path) -> None:
    path = a_file(tmp_path)
    add(home, path)
    with pytest.raises(ConfigInvalid, match="stands in local"):
        adder(home).look(path, AddWishes())
    with pytest.raises(ConfigInvalid, match="is the name of a model of"):
        AddedModels(home, FakeClock()).look(path, AddWishes(name="smollm2-135m"))


def test_a_refusal_writes_nothing(home: Path, tmp_path: Path) -> None:
    added = adder(home).look(a_file(tmp_path), AddWishes())
    absurd = adder(home).look(
        a_file(tmp_path, "Odd.gguf", {**GGUF_KEYS, "toy.embedding_length": 2_000_000}), AddWishes()
    )
    with pytest.raises(ConfigInvalid, match="hidden_size"):
        adder(home).add(absurd, lambda _: None)
    (home / "catalog").mkdir()
    (home / "catalog" / "local.toml").write_text("[provider]\nname = 'other'\n")
    with pytest.raises(ConfigInvalid, match=r"local\.toml"):
        adder(home).add(added, lambda _: None)
    assert not (home / "architectures.toml").exists()
    assert not (home / "weights").exists()


def test_a_wrong_file_of_sizes_is_named_with_its_line(home: Path, tmp_path: Path) -> None:
    (home / "architectures.toml").write_text("[[architectures]]\nnam = 1\n")
    with pytest.raises(ConfigInvalid, match=r"architectures\.toml:2"):
        adder(home).look(a_file(tmp_path), AddWishes())


def test_what_is_forgotten_leaves_the_files_as_they_were_before(home: Path, tmp_path: Path) -> None:
    catalog, sizes = add(home, a_file(tmp_path)), home / "architectures.toml"
    before = catalog.read_text(), sizes.read_text()
    add(home, a_file(tmp_path, "Two.gguf"), AddWishes(name="second"))
    assert adder(home).forget("second") == catalog
    assert (catalog.read_text().rstrip(), sizes.read_text().rstrip()) == tuple(each.rstrip() for each in before)
    assert set(models_of(home)) == {"toy"}
    assert adder(home).forget("second") is None


def test_the_last_model_leaves_a_file_that_takes_the_next(home: Path, tmp_path: Path) -> None:
    path = a_file(tmp_path)
    catalog = add(home, path)
    assert adder(home).forget("toy") == catalog
    assert models_of(home) == {}
    add(home, path)
    assert set(models_of(home)) == {"toy"}


def test_only_what_stands_in_its_own_file_is_forgotten(home: Path) -> None:
    assert adder(home).forget("toy") is None
    assert AddedModels(home, FakeClock()).forget("smollm2-135m") is None


def test_tables_that_cannot_be_told_apart_are_left_to_the_operator(home: Path, tmp_path: Path) -> None:
    catalog = add(home, a_file(tmp_path))
    unusual = re.sub(r"(?m)^description = .*$", 'description = """\\n[[models]]\\n"""', catalog.read_text())
    catalog.write_text(unusual)
    assert models_of(home)["toy"][0].description == "[[models]]\n"
    with pytest.raises(ConfigInvalid, match="delete its tables by hand"):
        adder(home).forget("toy")
    assert catalog.read_text() == unusual


def test_nothing_is_forgotten_while_another_file_of_the_operator_is_wrong(home: Path, tmp_path: Path) -> None:
    catalog = add(home, a_file(tmp_path))
    before = catalog.read_text()
    (home / "catalog" / "other.toml").write_text("[provider\n")
    with pytest.raises(ConfigInvalid, match=r"other\.toml"):
        adder(home).forget("toy")
    assert catalog.read_text() == before
