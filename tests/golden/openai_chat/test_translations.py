"""Requests as they leave for the upstream, and streams as they reach the caller, one folder of files per direction.

`requests/NAME.json` is what the caller sent and `requests/NAME.upstream.json` what leaves. `streams/NAME.upstream.sse`
is what an upstream sent; NAME.shown.sse and NAME.hidden.sse are what a caller reads with and without usage.
"""

from pathlib import Path

import msgspec
import pytest

from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_object
from headrace.wire.openai_chat import upstream_body
from headrace.wire.openai_chat_stream import ChatStreamReader
from tests.fakes.nouns import call_of

FOLDER = Path(__file__).parent
REQUESTS = sorted(each for each in (FOLDER / "requests").glob("*.json") if not each.stem.endswith(".upstream"))
STREAMS = sorted((FOLDER / "streams").glob("*.upstream.sse"))
COUNTED = Usage(input_fresh=11, output_text=3, source="counted")
MONEY: dict[str, int | str] = {"request_id": "req_1", "cost_usd": "0.000000023", "cost_nano_usd": 23}


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_a_request_leaves_as_the_file_beside_it(path: Path) -> None:
    call = call_of(decode_object(path.read_bytes()))
    sent = upstream_body(call, "upstream-one", 256, "max_completion_tokens")
    expected = path.with_suffix(".upstream.json").read_bytes()
    assert msgspec.json.decode(sent) == msgspec.json.decode(expected)


@pytest.mark.parametrize("show_usage", [True, False])
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_a_stream_reaches_the_caller_as_the_file_beside_it(path: Path, show_usage: bool) -> None:
    reader = ChatStreamReader("one", show_usage=show_usage, choices=1)
    out = reader.feed(path.read_bytes())
    reader.close()
    assert reader.ended
    out += reader.finish(reader.usage or COUNTED, MONEY)
    name = path.name.removesuffix(".upstream.sse")
    assert out == path.with_name(f"{name}.{'shown' if show_usage else 'hidden'}.sse").read_bytes()


def test_there_are_cases() -> None:
    assert len(REQUESTS) >= 5
    assert len(STREAMS) >= 5
