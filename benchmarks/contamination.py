"""Looks for prompts of a data set in the library of kinds of requests that ships: none may be there.

`python -m benchmarks.contamination --data DIR` reads every `*.jsonl` under DIR and compares each text with each prompt
of the library, letter by letter and by the encoder's cosine. The exit status is 1 when one is the same, or so close
that it may be taken from there; only our own prompts are printed. Weights of the encoder are pulled when missing.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headrace.domain.json_value import JsonObject
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.wire.json_strict import decode_object, is_object
from tests.weights_fixtures import MINILM, MINILM_TOKENIZER, ThreadOffload, pulled, real_store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headrace.drivers.encoders.minilm_session import MiniLmSession

MAX_COSINE = 0.90
MAX_TOKENS = 64
MAX_CHARS = 20_000
TEXTS_AT_ONCE = 2000

_MARKS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Contaminated:
    """A prompt of the library that a data set seems to hold; `cosine` is that to its nearest text."""

    prompt: str
    cosine: float
    is_same: bool


def library_prompts() -> tuple[str, ...]:
    """Return every prompt of the library that ships."""
    file = resources.files("headrace.catalog").joinpath("routing", "library.toml")
    return tuple(prompt for task in tomllib.loads(file.read_text("utf-8"))["task"] for prompt in task["prompts"])


def data_texts(folder: Path) -> tuple[str, ...]:
    """Return each distinct text of a folder's data: `text` of a line, or of its `turns`."""
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                found.update(dict.fromkeys(_texts(decode_object(line))))
    return tuple(found)


def contaminated(
    prompts: Sequence[str], texts: Iterable[str], vectors: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[Contaminated, ...]:
    """Return the prompts that are in the data, closest first; vectors are rows of length 1, of prompts and texts."""
    same = {_bare(text) for text in texts}
    nearest = np.full(len(prompts), -1.0, np.float32)
    for start in range(0, len(others), TEXTS_AT_ONCE):
        nearest = np.maximum(nearest, (vectors @ others[start : start + TEXTS_AT_ONCE].T).max(axis=1))
    found = [
        Contaminated(prompt, float(cosine), _bare(prompt) in same)
        for prompt, cosine in zip(prompts, nearest, strict=True)
        if cosine > MAX_COSINE or _bare(prompt) in same
    ]
    return tuple(sorted(found, key=lambda each: -each.cosine))


async def check(folder: Path, cache: Path) -> int:
    """Print what was found and return the exit status."""
    prompts, texts = library_prompts(), data_texts(folder)
    if not texts:
        sys.stderr.write(f"{folder}: no text in any *.jsonl file. Name the data with --data.\n")
        return 2
    for file in (MINILM, MINILM_TOKENIZER):
        pulled(cache, file)
    encoder = MiniLmEncoder("minilm", (MINILM, MINILM_TOKENIZER), real_store(cache), cache, ThreadOffload())
    session = await encoder.load()
    found = contaminated(prompts, texts, encode(session, prompts), encode(session, texts))
    for each in found:
        sys.stdout.write(f"{each.cosine:.3f}  {'the same  ' if each.is_same else ''}{each.prompt!r}\n")
    sys.stdout.write(f"{len(found)} of {len(prompts)} prompts are in {len(texts)} texts, or closer than {MAX_COSINE}\n")
    return 1 if found else 0


def encode(session: MiniLmSession, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return a row for each text, read up to 64 tokens."""
    rows = [session.vector(_cut(session.tokens(text[:MAX_CHARS]))) for text in texts]
    return np.array(rows, np.float32)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contamination", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with *.jsonl files")
    parser.add_argument("--home", type=Path, default=Path.home() / ".cache" / "headrace-tests", help="for the weights")
    given = parser.parse_args(arguments)
    return asyncio.run(check(given.data, given.home))


def _texts(line: JsonObject) -> Iterator[str]:
    turns = line.get("turns")
    for item in (line, *(turns if isinstance(turns, list) else ())):
        value = item.get("text") if is_object(item) else None
        if isinstance(value, str):
            yield value


def _cut(tokens: list[int]) -> list[int]:
    """The last token closes the frame."""
    return tokens if len(tokens) <= MAX_TOKENS else [*tokens[: MAX_TOKENS - 1], tokens[-1]]


def _bare(text: str) -> str:
    return _MARKS.sub("", text).casefold()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
