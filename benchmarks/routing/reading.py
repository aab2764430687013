"""The real encoder for measuring, from the weights of a home; what it said is kept on disk between runs."""

import asyncio
import hashlib
import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.domain.catalog import WeightsFile
from headrace.drivers.ambient import SystemClock
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.encoders.minilm_session import MiniLmSession
from headrace.drivers.scorers.vectors import Vectors
from headrace.drivers.weights.store import WeightsStore

P = ParamSpec("P")
T = TypeVar("T")
KEPT = Path(__file__).parents[1] / "build" / "routing-encoder.npz"
EVERYTHING = 1_000_000


class KeptReader:
    """The encoder, with a file that remembers what it said; only figures that do not measure time may use it."""

    def __init__(self, session: MiniLmSession, path: Path = KEPT) -> None:
        self._session = session
        self._path = path
        self._said: dict[bytes, bytes] = {}
        self._new = False
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                self._said.update(
                    (bytes(key), bytes(said)) for key, said in zip(file["keys"], file["said"], strict=True)
                )

    def tokens(self, text: str) -> list[int]:
        """Return the text's tokens."""
        return self._session.tokens(text)

    def packed_vector(self, tokens: list[int]) -> bytes:
        """Return the vector of tokens, remembered or new."""
        key = hashlib.blake2b(np.array(tokens, "<i4").tobytes(), digest_size=16).digest()
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = self._session.packed_vector(tokens)
            self._new = True
        return said

    def save(self) -> None:
        """Write what was read."""
        if not self._new:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, keys=_bytes(self._said), said=_bytes(self._said.values()))
        unfinished.replace(self._path)


class Inline:
    """Work done at once; nothing else waits here."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work and return its result."""
        return work(*args, **kwargs)


def open_encoder(home: Path) -> MiniLmEncoder:
    """Return the catalog's encoder over the weights of a home, which `headrace models pull` puts there."""
    model, files = _encoder_model()
    store = WeightsStore(home, (), SystemClock(), Inline())
    return MiniLmEncoder(f"embedded/{model['id']}", files, store, home, Inline())


def weights_paths(home: Path) -> list[Path]:
    """Return where a home keeps the encoder's files; those that it lacks are left out."""
    store = WeightsStore(home, (), SystemClock(), Inline())
    return [path for file in _encoder_model()[1] if (path := store.path(file)) is not None]


def _encoder_model() -> tuple[dict[str, Any], tuple[WeightsFile, WeightsFile]]:
    text = resources.files("headrace.catalog").joinpath("providers", "embedded.toml").read_text("utf-8")
    (model,) = (each for each in tomllib.loads(text)["models"] if each["local"]["engine"] == "minilm")
    first, second = (_file(row) for row in model["local"]["weights"])
    return model, (first, second)


def open_reader(home: Path) -> KeptReader:
    """Return the real encoder; raises EngineFailed when its weights are not in the home."""
    return KeptReader(asyncio.run(open_encoder(home).load()))


def many_vectors(reader: KeptReader) -> Vectors:
    """Return vectors that forget nothing."""
    return Vectors(reader, EVERYTHING)


def _bytes(rows: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.stack([np.frombuffer(each, np.uint8) for each in rows])


def _file(row: dict[str, Any]) -> WeightsFile:
    return WeightsFile(row["name"], row["sha256"], row["size_bytes"], row["licence"], tuple(row["sources"]))
