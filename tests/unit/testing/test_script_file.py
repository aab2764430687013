"""Scripts from TOML: every knob arrives in the reply, mistakes name the field."""

import re
from pathlib import Path

import msgspec
import pytest

from headrace.testing.recordings import recordings
from headrace.testing.script import Fault, UpstreamRequest
from headrace.testing.script_file import ReplyEntry, read_script

DOCUMENT = Path(__file__).parents[3] / "docs" / "testing.md"
SCRIPT = """
[[reply]]
match = "flaky"
times = 1
status = 429
retry_after = "3"

[[reply]]
match = "flaky"
text = "one two"
usage = "zero"
reset_after_bytes = 9
split_every_bytes = 4
delay_before_headers_seconds = 0.5
delay_between_writes_seconds = 0.25
headers = { x-vendor = "v" }

[[reply]]
match = "recorded"
recording = "tools"
stall_after_bytes = 100

[[reply]]
match = "broken"
times = 1
body = "{"
status = 502
cut_after_bytes = 0

[[reply]]
match = "tools"
error_at_frame = 3
[[reply.tool_calls]]
id = "call_1"
name = "add"
arguments = "{}"
"""


def request_for(model: str, *, path: str = "/v1/chat/completions") -> UpstreamRequest:
    body = b'{"model":"%b","stream":true,"messages":[],"input":"x"}' % model.encode()
    return UpstreamRequest(1, 1, "POST", path, "", (), body)


def test_every_knob_arrives(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT)
    answer = read_script(path)

    limited, flaky = answer(request_for("flaky")), answer(request_for("flaky"))
    assert (limited.status, limited.headers["retry-after"]) == (429, "3")
    assert flaky.fault == Fault("reset", 9)
    assert flaky.boundaries is not None
    assert flaky.boundaries[:3] == (0, 4, 8)
    assert (flaky.delay_before_headers_seconds, flaky.delay_between_writes_seconds) == (0.5, 0.25)
    assert flaky.headers["x-vendor"] == "v"
    assert b'"content":" two"' in flaky.body
    assert b'"completion_tokens":0' in flaky.body

    recorded = answer(request_for("recorded"))
    assert (recorded.body, recorded.fault) == (recordings()["tools"].body, Fault("stall", 100))

    broken = answer(request_for("broken"))
    assert (broken.status, broken.body, broken.fault) == (502, b"{", Fault("cut", 0))
    assert answer(request_for("broken")).status == 501

    tools = answer(request_for("tools"))
    assert b'"tool_calls"' in tools.body
    assert b"overloaded" in tools.body

    assert answer(request_for("unnamed")).status == 200
    assert b'"embedding"' in answer(request_for("tools", path="/v1/embeddings")).body


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[reply]]\ncut_after = 3", "cut_after"),
        ("[[reply]]\nusage = 'some'", r"\$\.reply\[0\]\.usage"),
        ("[[reply]", "script.toml"),
    ],
)
def test_a_mistake_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_script(path)


def test_the_documented_script_works_and_every_field_is_documented(tmp_path: Path) -> None:
    document = DOCUMENT.read_text()
    path = tmp_path / "outage.toml"
    path.write_text(document.partition("```toml\n")[2].partition("```")[0])
    answer = read_script(path)
    statuses = [answer(request_for("gpt-5-nano")).status for _ in range(2)]
    assert statuses == [429, 200]
    assert answer(request_for("other")).delay_before_headers_seconds == 2.0
    documented = set(re.findall(r"`(?:\[\[reply\.)?(\w+)(?:\]\])?`", document))
    assert {field.name for field in msgspec.structs.fields(ReplyEntry)} <= documented
