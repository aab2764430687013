"""Requests, replies and streams through the pair, one file per case; what the files are is translations.py's."""

from pathlib import Path

import msgspec
import pytest

from headrace.wire.responses_to_chat import ResponsesToChat
from tests.golden.translations import beside, cases, reply_as_read, request_as_sent, stream_as_read

FOLDER = Path(__file__).parent
PAIR = ResponsesToChat()
REQUESTS = cases(FOLDER, "requests", ".json")
REPLIES = cases(FOLDER, "replies", ".upstream.json")
STREAMS = cases(FOLDER, "streams", ".upstream.sse")


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_a_request_leaves_as_the_file_beside_it(path: Path) -> None:
    assert request_as_sent(PAIR, path) == msgspec.json.decode(beside(path, ".upstream.json").read_bytes())


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.stem)
def test_a_reply_is_read_as_the_file_beside_it(path: Path) -> None:
    assert reply_as_read(PAIR, path) == msgspec.json.decode(beside(path, ".json").read_bytes())


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_is_read_as_the_file_beside_it(path: Path) -> None:
    assert stream_as_read(PAIR, path) == beside(path, ".sse").read_bytes()


def test_there_are_cases() -> None:
    assert len(REQUESTS) >= 4 and len(REPLIES) >= 3 and len(STREAMS) >= 3
