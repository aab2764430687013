"""The real all-MiniLM-L6-v2: built from its pinned weights, compared with its float32 self."""

import json
import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import EngineFailed, InvalidRequest
from headrace.drivers.encoders.minilm import MAX_TOKENS, MiniLmEncoder
from headrace.drivers.encoders.minilm_graph import build_model, read_safetensors
from headrace.drivers.weights.store import WeightsStore
from tests.weights_fixtures import MINILM, MINILM_TOKENIZER, SystemClock, ThreadOffload, real_store

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

TEXTS = (
    "How do I reset my password?",
    "I cannot log in to my account.",
    "Bake the bread for forty minutes at 220 degrees.",
    "def quicksort(items): return sorted(items)",
    "Sorting algorithms put a list in order.",
    "The quick brown fox jumps over the lazy dog.",
    "Der Fluss fließt mitten durch die Stadt.",
    "2 + 2 = 4, and the invoice is due on the 3rd of May.",
    "Müller's naïve café 日本語 😀 is open until late.",
    "A longer paragraph talks about rivers, banks and trees. " * 20,
)


@pytest.fixture(scope="session")
def encoder_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture
def encoder(encoder_home: Path, weights_cache: Path, minilm_paths: tuple[Path, Path]) -> MiniLmEncoder:
    files = (MINILM, MINILM_TOKENIZER)
    return MiniLmEncoder("here/minilm", files, real_store(weights_cache), encoder_home, ThreadOffload())


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


async def test_int8_says_what_float32_says(encoder: MiniLmEncoder, minilm_paths: tuple[Path, Path]) -> None:
    vectors, tokens = await encoder.embed(TEXTS)
    session = await encoder.load()
    exact: Any = onnxruntime.InferenceSession(build_model(minilm_paths[0]).SerializeToString())
    counted = 0
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = session.tokens(text)
        counted += len(ids)
        (reference,) = exact.run(None, {"input_ids": np.array(ids)})
        assert len(vector) == encoder.dimensions == 384
        assert math.isclose(cosine(vector, vector), 1.0, abs_tol=1e-5)
        assert cosine(vector, np.asarray(reference).tolist()) >= 0.99, text
    assert tokens == counted


async def test_the_float32_graph_gives_the_published_numbers(
    encoder: MiniLmEncoder, minilm_paths: tuple[Path, Path]
) -> None:
    session = await encoder.load()
    exact: Any = onnxruntime.InferenceSession(build_model(minilm_paths[0]).SerializeToString())
    (vector,) = exact.run(None, {"input_ids": np.array(session.tokens("This is an example sentence"))})
    assert np.asarray(vector)[:4].tolist() == pytest.approx([0.0677, 0.0635, 0.0487, 0.0793], abs=1e-4)


async def test_related_texts_are_nearer_than_unrelated_ones(encoder: MiniLmEncoder) -> None:
    (password, login, bread, code, sorting, *_), _ = await encoder.embed(TEXTS)
    assert cosine(password, login) > 0.5 > 0.2 > cosine(password, bread)
    assert cosine(code, sorting) > 0.4 > cosine(code, bread)


async def test_a_text_has_one_vector_whatever_it_comes_with(encoder: MiniLmEncoder) -> None:
    together, _ = await encoder.embed(TEXTS[:3])
    alone = [(await encoder.embed([text]))[0][0] for text in TEXTS[:3]]
    assert together == alone


async def test_texts_are_counted_as_they_are_read(encoder: MiniLmEncoder) -> None:
    _, tokens = await encoder.embed(TEXTS)
    assert await encoder.count(TEXTS) == tokens


async def test_a_text_past_the_limit_is_refused_and_one_at_the_limit_is_not(encoder: MiniLmEncoder) -> None:
    _, tokens = await encoder.embed(["tree " * (MAX_TOKENS - 2)])
    assert tokens == MAX_TOKENS
    with pytest.raises(InvalidRequest, match="513 tokens; this model reads at most 512") as caught:
        await encoder.embed(["fine", "tree " * (MAX_TOKENS - 1)])
    assert (caught.value.param, caught.value.code) == ("input[1]", "context_length_exceeded")
    with pytest.raises(InvalidRequest, match="is empty"):
        await encoder.embed([""])


async def test_is_built_once_and_built_anew_when_the_file_is_broken(
    encoder: MiniLmEncoder, encoder_home: Path, weights_cache: Path
) -> None:
    await encoder.load()
    (built,) = (encoder_home / "encoders").iterdir()
    assert built.name.startswith(MINILM.sha256)
    assert 20_000_000 < built.stat().st_size < 30_000_000
    home = encoder_home.parent / "broken"
    (home / "encoders").mkdir(parents=True)
    broken = home / "encoders" / built.name
    broken.write_bytes(b"not a model")
    files = (MINILM, MINILM_TOKENIZER)
    other = MiniLmEncoder("here/minilm", files, real_store(weights_cache), home, ThreadOffload())
    with pytest.raises(EngineFailed, match="built anew"):
        await other.embed(["a"])
    assert not broken.exists()


async def test_missing_weights_are_said_and_not_fetched(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path, (), SystemClock(), ThreadOffload())
    missing = MiniLmEncoder("here/minilm", (MINILM, MINILM_TOKENIZER), store, tmp_path, ThreadOffload())
    with pytest.raises(EngineFailed, match="headrace models pull here/minilm"):
        await missing.embed(["a"])


async def test_weights_of_another_architecture_leave_no_file_behind(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    source = tmp_path / "other"
    source.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.5))
    assert read_safetensors(source)["a"].tolist() == [1.5]

    class Here:
        def path(self, file: WeightsFile) -> Path:
            return source

        async def pull(self, file: WeightsFile, report: object) -> Path:
            raise AssertionError("an encoder downloads nothing")

        async def remove(self, file: WeightsFile) -> int:
            raise AssertionError("an encoder deletes nothing")

    other = MiniLmEncoder("here/other", (MINILM, MINILM_TOKENIZER), Here(), tmp_path, ThreadOffload())
    with pytest.raises(EngineFailed, match="Building here/other from its weights failed") as caught:
        await other.embed(["a"])
    assert "KeyError" in (caught.value.detail or "")
    assert list((tmp_path / "encoders").iterdir()) == []


def test_importing_the_encoder_loads_no_heavy_library() -> None:
    code = (
        "import sys, headrace.drivers.encoders.minilm, headrace.drivers.encoders.adapter;"
        "sys.exit(any(name in sys.modules for name in ('onnx', 'onnxruntime', 'tokenizers', 'numpy')))"
    )
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}).returncode == 0
