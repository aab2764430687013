"""Weights that lie on this machine: linked and not copied, copied where no link can be made, refused when wrong."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import ConfigInvalid, HomeUnusable, UpstreamUnavailable
from headrace.drivers.ambient import SystemClock, ThreadOffload
from headrace.drivers.weights import store as store_module
from headrace.drivers.weights.file_source import FileSource
from headrace.drivers.weights.model_path import ModelPaths
from headrace.drivers.weights.store import WeightsStore
from headrace.ports.fleet import Progress
from headrace.wire.gguf_header import GgufHeader
from headrace.wire.model_folder import FolderFacts
from tests.fakes.sizes import gguf_bytes

pytestmark = pytest.mark.anyio

DATA = b"weights " * 1000


@pytest.fixture
def lying(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "my model.gguf"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def weights_of(path: Path, sha256: str = hashlib.sha256(DATA).hexdigest(), size: int = len(DATA)) -> WeightsFile:
    return WeightsFile(path.name, sha256, size, "MIT", (f"file:{path}",))


def store_in(home: Path) -> WeightsStore:
    return WeightsStore(home, (FileSource(),), SystemClock(), ThreadOffload(1))


async def test_a_pull_links_to_the_file_and_tells_that_it_is_whole(tmp_path: Path, lying: Path) -> None:
    store, file = store_in(tmp_path / "home"), weights_of(lying)
    heard: list[Progress] = []
    place = await store.pull(file, heard.append)
    assert place == store.path(file)
    assert place.is_symlink()
    assert place.read_bytes() == DATA
    assert heard[-1].done == len(DATA)
    assert await store.verify(file)


async def test_a_file_that_went_away_is_not_here_and_a_pull_says_why(tmp_path: Path, lying: Path) -> None:
    store, file = store_in(tmp_path / "home"), weights_of(lying)
    await store.pull(file, lambda _: None)
    await asyncio.to_thread(lying.unlink)
    assert store.path(file) is None
    with pytest.raises(UpstreamUnavailable, match="cannot be read"):
        await store.pull(file, lambda _: None)


async def test_a_file_with_other_bytes_is_refused(tmp_path: Path, lying: Path) -> None:
    with pytest.raises(UpstreamUnavailable, match="Its sha256 is"):
        await store_in(tmp_path / "a").pull(weights_of(lying, "cd" * 32), lambda _: None)
    with pytest.raises(UpstreamUnavailable, match="It ended after 8000 of 9000 bytes"):
        await store_in(tmp_path / "b").pull(weights_of(lying, size=9000), lambda _: None)


async def test_where_no_link_can_be_made_the_file_is_copied(
    tmp_path: Path, lying: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(path: Path, place: Path) -> None:
        raise HomeUnusable(f"{place}: no links here")

    monkeypatch.setattr(store_module, "link", no_link)
    store = store_in(tmp_path / "home")
    place = await store.pull(weights_of(lying), lambda _: None)
    assert not place.is_symlink()
    assert place.read_bytes() == DATA


def test_a_file_is_looked_at_hashed_and_kept_where_it_lies(tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "toy.gguf"
    path.write_bytes(gguf_bytes())
    models = ModelPaths(home)
    found = models.look(path)
    assert isinstance(found.facts, GgufHeader)
    assert (found.path, found.size_bytes) == (path, path.stat().st_size)
    heard: list[Progress] = []
    sha256 = models.sha256(path, heard.append)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert heard[-1] == Progress("toy.gguf", found.size_bytes, found.size_bytes, "bytes")
    file = weights_of(path, sha256, found.size_bytes)
    for _ in range(2):
        models.keep(file, path)
    assert WeightsStore(home, (), SystemClock(), ThreadOffload(1)).path(file) is not None


def test_a_folder_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    with pytest.raises(ConfigInvalid, match='has no whole number at "num_hidden_layers"'):
        ModelPaths(tmp_path).look(tmp_path)
    (tmp_path / "config.json").write_text(
        '{"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 9,'
        ' "max_position_embeddings": 64}'
    )
    found = ModelPaths(tmp_path).look(tmp_path)
    assert isinstance(found.facts, FolderFacts)
    assert (found.size_bytes, found.facts.has_chat_template) == (100, True)


def test_what_is_not_there_or_no_model_is_said_to_be(tmp_path: Path) -> None:
    models = ModelPaths(tmp_path)
    with pytest.raises(ConfigInvalid, match=r"cannot be read \(No such file"):
        models.look(tmp_path / "none.gguf")
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        models.sha256(tmp_path / "none.gguf", lambda _: None)
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(ConfigInvalid, match="cannot be read as a GGUF file"):
        models.look(tmp_path / "x.txt")
    with pytest.raises(ConfigInvalid, match=r"has no \.safetensors file"):
        models.look(tmp_path)


def test_a_home_that_takes_no_links_is_said_to_be(tmp_path: Path, lying: Path) -> None:
    blocked = tmp_path / "home"
    blocked.write_text("a file")
    with pytest.raises(HomeUnusable, match="no link to"):
        ModelPaths(blocked).keep(weights_of(lying), lying)
