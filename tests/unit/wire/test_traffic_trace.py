"""Traces of traffic: both forms read the same, and what is wrong is named with its line and field."""

from __future__ import annotations

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import SHOWN
from headrace.domain.simulation import Arrival
from headrace.wire.traffic_trace import read_trace

LINES = b"""{"at": 2.5, "input_tokens": 10, "output_tokens": 3, "prefix": "a", "model": "x"}

{"at": 1, "input_tokens": 20, "output_tokens": 0}
{"at": 3, "input_tokens": 30, "output_tokens": 5, "prefix": 7}
"""
TABLE = b"""at,input_tokens,output_tokens,prefix,model
2.5,10,3,a,x
1,20,0,,x
3,30,5,7,x
"""
MOMENTS = b"""at,input_tokens,output_tokens,prefix
2026-11-28T14:00:01.5Z,10,3,a
2026-11-28 14:00:00,20,0,
2026-11-28T15:00:02+01:00,30,5,7
"""
EXPECTED = (Arrival(0, 20, 0), Arrival(1_500_000, 10, 3, b"a"), Arrival(2_000_000, 30, 5, b"7"))


@pytest.mark.parametrize("data", [LINES, TABLE, b"\xef\xbb\xbf" + TABLE.replace(b"\n", b"\r\n"), MOMENTS])
def test_every_form_reads_the_same_in_the_order_of_time(data: bytes) -> None:
    assert read_trace("t", data) == EXPECTED


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"at": 1, "input_tokens": 1}', "t:2: output_tokens: it is missing"),
        ('{"at": 1, "input_tokens": -1, "output_tokens": 1}', 't:2: input_tokens: "-1" is no number of tokens'),
        ('{"at": 1, "input_tokens": true, "output_tokens": 1}', 't:2: input_tokens: "True" is no number'),
        ('{"at": 1, "input_tokens": "1.5", "output_tokens": 1}', 't:2: input_tokens: "1.5" is no number'),
        ('{"input_tokens": 1, "output_tokens": 1}', "t:2: at: it is missing"),
        ('{"at": -1, "input_tokens": 1, "output_tokens": 1}', 't:2: at: "-1" is no time'),
        ('{"at": true, "input_tokens": 1, "output_tokens": 1}', 't:2: at: "True" is no time'),
        ('{"at": "soon", "input_tokens": 1, "output_tokens": 1}', 't:2: at: "soon" is no time'),
        ('{"at": "-5", "input_tokens": 1, "output_tokens": 1}', 't:2: at: "-5" is no time'),
        ('{"at": "nan", "input_tokens": 1, "output_tokens": 1}', 't:2: at: "nan" is no time'),
        ('{"at": 1, "input_tokens": 1, "output_tokens": 1, "prefix": []}', "t:2: prefix:"),
        ('{"at": 1e308, "input_tokens": 1, "output_tokens": 1}', 't:2: at: "1e+308" is no time'),
        ('{"at": 1, "input_tokens": "' + "9" * 5_000 + '", "output_tokens": 1}', "t:2: input_tokens:"),
        ("{nonsense", "t:2: the line is no JSON object"),
        ("[1]", "t:2: the line is no JSON object"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(line: str, told: str) -> None:
    good = '{"at": 1, "input_tokens": 1, "output_tokens": 1}'
    with pytest.raises(ConfigInvalid) as caught:
        read_trace("t", f"{good}\n{line}\n".encode())
    assert told in caught.value.message
    assert "fix: " in caught.value.message


def test_lines_of_a_table_are_counted_with_its_head() -> None:
    with pytest.raises(ConfigInvalid, match="t:3: output_tokens: it is missing"):
        read_trace("t", b"at,input_tokens,output_tokens\n1,2,3\n1,2,\n")


@pytest.mark.parametrize("field", ["x" * 200_000, '1,2,"' + "a" * 200_000 + '"'])
def test_a_field_that_is_too_long_for_a_table_is_named_by_its_line(field: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"t:2: the line is no JSON object or row"):
        read_trace("t", f"at,input_tokens,output_tokens\n{field}\n".encode())


def test_a_text_may_hold_what_only_looks_like_the_end_of_a_line() -> None:
    line = '{"at": 1, "input_tokens": 1, "output_tokens": 1, "prefix": "a\N{LINE SEPARATOR}b"}\r\n'
    (arrival,) = read_trace("t", line.encode())
    assert arrival.prefix == "a\N{LINE SEPARATOR}b".encode()


def test_moments_among_seconds_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="more than ten years lie between"):
        read_trace("t", b"at,input_tokens,output_tokens\n2026-11-28T14:00:00Z,1,1\n3,1,1\n")


def test_only_so_many_mistakes_are_gathered() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_trace("t", b"{}\n" * 10_000)
    assert caught.value.message.count("fix: ") == SHOWN


@pytest.mark.parametrize("data", [b"", b"\n\n", b"at,input_tokens,output_tokens\n"])
def test_a_trace_without_requests_is_none(data: bytes) -> None:
    with pytest.raises(ConfigInvalid, match="holds no request"):
        read_trace("t", data)


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(ConfigInvalid, match="t:2: byte 2 is not UTF-8"):
        read_trace("t", b"a\n\xff")
