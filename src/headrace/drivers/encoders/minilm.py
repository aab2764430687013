"""The all-MiniLM-L6-v2 encoder: built once from pinned weights, loaded at the first use, run in the CPU pool.

It downloads nothing; minilm_graph builds, minilm_session computes.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import EngineFailed, InvalidRequest
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Weights

if TYPE_CHECKING:
    from headrace.drivers.encoders.minilm_session import MiniLmSession

DIMENSIONS = 384
MAX_TOKENS = 512
# Part of the built file's name: another way of building makes another file.
RECIPE = "int8-1"
BUILD_SECONDS = 120.0


class MiniLmEncoder:
    """Texts to unit vectors of 384 numbers; one text at a time, because int8 results depend on batch mates.

    `files` are the weights and the tokenizer, in this order. The pool must be of threads.
    """

    def __init__(
        self,
        model_id: str,
        files: tuple[WeightsFile, WeightsFile],
        weights: Weights,
        home: Path,
        offload: Offload,
    ) -> None:
        self.dimensions: int = DIMENSIONS
        self._model_id = model_id
        self._files = files
        self._weights = weights
        self._folder = home / "encoders"
        self._offload = offload
        self._loading = asyncio.Lock()
        self._session: MiniLmSession | None = None

    @property
    def file_name(self) -> str:
        """What the built model is called: by its weights and by how it is built from them."""
        return f"{self._files[0].sha256}.{RECIPE}"

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Return one vector per text and the tokens read, framing tokens included.

        Raises InvalidRequest for a text without characters or of more than 512 tokens (none is cut silently),
        EngineFailed when the weights are not here or the model cannot be built.
        """
        session = self._session or await self.load()
        tokens = [await self._offload.run(session.tokens, text) for text in texts]
        for index, each in enumerate(tokens):
            _check(index, texts[index], len(each))
        vectors = [await self._offload.run(session.vector, each) for each in tokens]
        return vectors, sum(map(len, tokens))

    async def count(self, texts: Sequence[str]) -> int:
        """Return the tokens that would be read, framing tokens included; raises EngineFailed as `embed` does."""
        session = self._session or await self.load()
        return sum([len(await self._offload.run(session.tokens, text)) for text in texts])

    async def load(self) -> MiniLmSession:
        """Build the model if that was never done, and load it; raises EngineFailed."""
        async with self._loading:
            if self._session is None:
                source, tokenizer = (self._located(file) for file in self._files)
                model = self._folder / f"{self.file_name}.onnx"
                if not await self._offload.run(model.exists):
                    await self._build(source, model)
                self._session = await self._offload.run(self._open, model, tokenizer)
            return self._session

    def _located(self, file: WeightsFile) -> Path:
        path = self._weights.path(file)
        if path is None:
            raise EngineFailed(
                f"The weights of {self._model_id} are not on this machine; fetch them with"
                f" `headrace models pull {self._model_id}`.",
                code="weights_missing",
            )
        return path

    async def _build(self, source: Path, model: Path) -> None:
        await self._offload.run(self._folder.mkdir, parents=True, exist_ok=True)
        script = Path(__file__).with_name("minilm_graph.py")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(script), str(source), str(model)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(BUILD_SECONDS):
                _, output = await process.communicate()
        except TimeoutError as error:
            raise EngineFailed(f"Building {self._model_id} took more than {BUILD_SECONDS:g} s.") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise EngineFailed(
                f"Building {self._model_id} from its weights failed; the log has the reason.",
                detail=output.decode("utf-8", "replace")[-4000:],
            )

    def _open(self, model: Path, tokenizer: Path) -> MiniLmSession:
        module = importlib.import_module("headrace.drivers.encoders.minilm_session")
        open_session = cast("Callable[[Path, Path], MiniLmSession]", module.MiniLmSession)
        try:
            return open_session(model, tokenizer)
        # Both libraries raise bare Exception for a file that they cannot read.
        except Exception as error:
            model.unlink(missing_ok=True)
            raise EngineFailed(
                f"{self._model_id} could not be loaded; it will be built anew at the next request.",
                detail=f"{type(error).__name__}: {error}",
            ) from error


def _check(index: int, text: str, tokens: int) -> None:
    if not text:
        raise InvalidRequest(f'"input[{index}]" is empty.', param=f"input[{index}]")
    if tokens > MAX_TOKENS:
        raise InvalidRequest(
            f'"input[{index}]" has {tokens} tokens; this model reads at most {MAX_TOKENS}. Split the text.',
            code="context_length_exceeded",
            param=f"input[{index}]",
        )
