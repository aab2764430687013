"""What a request body may hold, and what is said of one that holds more."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.errors import openai_error_body
from headrace.wire.json_strict import MAX_DEPTH, decode_object, decode_trusted, encode, is_object

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS: st.SearchStrategy[JsonValue] = (
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@given(value=st.dictionaries(TEXT, VALUES, max_size=6))
def test_every_json_object_goes_through_unchanged(value: JsonObject) -> None:
    decoded = decode_object(json.dumps(value, ensure_ascii=True).encode())
    assert decoded == value
    assert decode_object(encode(decoded)) == value
    assert decode_object(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@given(body=st.binary(max_size=40))
def test_any_bytes_are_an_object_or_an_error_that_can_be_rendered(body: bytes) -> None:
    try:
        assert is_object(decode_object(body))
    except InvalidRequest as error:
        assert openai_error_body(error, "req_1")


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"a":NaN}', "invalid_json", "NaN is not JSON"),
        (b'{"a":[Infinity]}', "invalid_json", "Infinity is not JSON"),
        (b'{"a":-Infinity}', "invalid_json", "-Infinity is not JSON"),
        (b'{"a":1e400}', "invalid_json", "The number 1e400 is too large."),
        (b'{"a":-1e400}', "invalid_json", "The number -1e400 is too large."),
        (b'{"a":1.' + b"0" * 400 + b"}", "invalid_json", "is too large."),
        (b'{"a":' + b"9" * 401 + b"}", "invalid_json", "has too many digits."),
        (b'{"a":' + b"9" * 5000 + b"}", "invalid_json", "has too many digits."),
        (b'{"a":1,"a":1}', "duplicate_key", 'The key "a" stands twice'),
        (b'{"m":[{"x":{"b":1,"c":2,"b":null}}]}', "duplicate_key", 'The key "b" stands twice'),
        (b'{"a":1,"\\u0061":2}', "duplicate_key", 'The key "a" stands twice'),
        (b'{"\\ud800":1,"\\ud800":2}', "duplicate_key", 'The key "?" stands twice'),
        (b'{"a":"\\ud800"}', "invalid_json", "half of a surrogate pair"),
        (b'{"a":["\\uDFFF\\uD800"]}', "invalid_json", "half of a surrogate pair"),
        (b'{"\\udead":1}', "invalid_json", "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "invalid_json", "not JSON"),
        ('{"a":1}'.encode("utf-16"), "invalid_encoding", "byte 0 is 0xff"),
        ('{"a":1}'.encode("utf-16-le"), "invalid_json", "not JSON"),
        (b'{"a":"\xff"}', "invalid_encoding", "byte 6 is 0xff"),
        (b'{"a":"\xed\xa0\x80"}', "invalid_encoding", "byte 6 is 0xed"),
        (b'{"a":"\x00"}', "invalid_json", "not JSON"),
        (b"", "invalid_json", "not JSON"),
        (b'{"a":1} x', "invalid_json", "column 9"),
        (b"[1]", "invalid_json", "must be a JSON object, not an array"),
        (b"null", "invalid_json", "not null"),
        (b"true", "invalid_json", "not a boolean"),
        (b'"x"', "invalid_json", "not a string"),
        (b"1.5", "invalid_json", "not a number"),
    ],
)
def test_what_is_refused_and_what_is_said(body: bytes, code: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_object(body)
    assert caught.value.code == code
    assert said in caught.value.message
    assert len(caught.value.message) < 300
    assert openai_error_body(caught.value, "req_1")


def test_a_long_key_that_stands_twice_is_shown_shortened() -> None:
    key = b'"' + b"k" * 100_000 + b'"'
    with pytest.raises(InvalidRequest) as caught:
        decode_object(b"{" + key + b":1," + key + b":2}")
    assert len(caught.value.message) < 300


def nested(levels: int, leaf: bytes = b"") -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + leaf + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize("leaf", [b"", b"1", b'"x"'])
def test_nesting_is_allowed_up_to_the_limit(leaf: bytes) -> None:
    assert is_object(decode_object(nested(MAX_DEPTH, leaf)))


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 500, 100_000])
@pytest.mark.parametrize("leaf", [b"", b"1"])
def test_deeper_nesting_is_refused(levels: int, leaf: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_object(nested(levels, leaf))
    assert caught.value.code == "nesting_too_deep"


def test_deep_objects_are_refused_too() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_object(b'{"a":' * 65 + b"1" + b"}" * 65)
    assert caught.value.code == "nesting_too_deep"


def test_a_wide_body_is_not_a_deep_one() -> None:
    assert decode_object(b'{"a":[' + b",".join([b"[{}]"] * 1000) + b"]}") == {"a": [[{}]] * 1000}


def test_an_escaped_pair_and_an_escaped_backslash_are_fine() -> None:
    assert decode_object(b'{"a":"\\ud83d\\ude00","b":"\\\\ud800"}') == {"a": "\U0001f600", "b": "\\ud800"}


def test_large_but_finite_numbers_survive() -> None:
    assert encode(decode_object(b'{"a":123456789012345678901234567890,"b":1.5e300}')) == (
        b'{"a":123456789012345678901234567890,"b":1.5e300}'
    )


def test_an_upstream_value_may_be_anything() -> None:
    assert decode_trusted(b"[1,null]") == [1, None]
