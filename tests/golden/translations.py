"""Golden cases of one pair: folders `requests`, `replies` and `streams` of files, input and expected side by side.

`requests/NAME.json` is what the caller sent; NAME.upstream.json is what leaves, with what was dropped. `replies` and
`streams` hold what the upstream sent (NAME.upstream.json, NAME.upstream.sse) and what the caller reads (NAME.json,
NAME.sse); the request that was answered is NAME.request.json where it matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from headrace.domain.json_value import JsonObject
from headrace.wire.json_strict import decode_object
from headrace.wire.pair import Pair
from headrace.wire.sse import FrameSplitter, frame_data

ASKED: JsonObject = {"model": "one", "input": "Hi", "messages": [{"role": "user", "content": "Hi"}]}


def cases(folder: Path, kind: str, ending: str) -> list[Path]:
    """Return the inputs of a kind of case."""
    found = sorted((folder / kind).glob(f"*{ending}"))
    return [each for each in found if kind != "requests" or not each.name.endswith(".upstream.json")]


def request_as_sent(pair: Pair, path: Path) -> Any:
    """Return what leaves for a request, with what was dropped."""
    translated = pair.request(decode_object(path.read_bytes()))
    return plain({"dropped": list(translated.dropped), "body": translated.body})


def reply_as_read(pair: Pair, path: Path) -> Any:
    """Return what the caller reads of a whole reply."""
    return plain(pair.reply(msgspec.json.decode(path.read_bytes()), request_of(path)))


def stream_as_read(pair: Pair, path: Path) -> bytes:
    """Return what the caller reads of a stream."""
    translator = pair.stream({**request_of(path), "stream": True})
    out = b""
    for frame in FrameSplitter().feed(path.read_bytes()):
        data = frame_data(frame)
        if data is not None and data != b"[DONE]":
            out += translator.event(msgspec.json.decode(data))
    return out + translator.finish()


def request_of(path: Path) -> JsonObject:
    """Return the request that a reply or a stream answers."""
    named = path.with_name(path.name.split(".")[0] + ".request.json")
    return {**ASKED, **decode_object(named.read_bytes())} if named.exists() else dict(ASKED)


def plain(value: object) -> Any:
    """Return a value as it is after a trip through JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


def beside(path: Path, ending: str) -> Path:
    """Return the expected file beside an input."""
    return path.with_name(path.name.split(".")[0] + ending)
