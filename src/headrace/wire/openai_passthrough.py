"""Operations that pass through to an upstream in OpenAI's form as they came: where they go and how answers are read."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Operation
from headrace.wire import images, rerank
from headrace.wire.openai_body import JsonBodyReader
from headrace.wire.speech import SpeechReader

PATHS: Mapping[Operation, str] = {
    Operation.RERANK: "/rerank",
    Operation.IMAGES: "/images/generations",
    Operation.SPEECH: "/audio/speech",
}


def passthrough_reader(operation: Operation, model_id: str) -> JsonBodyReader | SpeechReader:
    """Return a fresh reader for the answer of such an operation."""
    if operation is Operation.SPEECH:
        return SpeechReader()
    if operation is Operation.RERANK:
        return JsonBodyReader(model_id, "results", usage_of=rerank.read_usage)
    return JsonBodyReader(model_id, "data", usage_of=images.read_usage)
