"""One loaded all-MiniLM-L6-v2: text to tokens to a vector; blocking, so it is used off the event loop.

Importing this module loads the tokenizer and ONNX libraries; minilm does so at the first use only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

# The library has no types.
_RUNTIME: Any = onnxruntime

DECIMALS = 8


class MiniLmSession:
    """The model in memory; safe to use from several threads, each call uses one."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        options = _RUNTIME.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = _RUNTIME.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = False
        self._session = _RUNTIME.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        # The published file cuts at 128 tokens and pads to them; neither is wanted here.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def tokens(self, text: str) -> list[int]:
        """Return the text's token ids with the two that frame it."""
        return self._tokenizer.encode(text).ids

    def vector(self, tokens: list[int]) -> list[float]:
        """Return the unit vector of at most 512 tokens."""
        # float32 is not finer than this at these sizes, and shorter numbers make replies a third smaller.
        return np.asarray(self._embedding(tokens), np.float64).round(DECIMALS).tolist()

    def packed_vector(self, tokens: list[int]) -> bytes:
        """Return the same vector as 384 little-endian float32, without the rounding."""
        return np.asarray(self._embedding(tokens), "<f4").tobytes()

    def _embedding(self, tokens: list[int]) -> Any:
        (embedding,) = self._session.run(["embedding"], {"input_ids": np.array(tokens, np.int64)})
        return embedding
