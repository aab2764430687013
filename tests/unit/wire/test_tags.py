"""Tags of a request: what becomes one, which wins, and which header is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.tags import MOST_TAGS, tags_of


@pytest.mark.parametrize(
    ("header", "body", "tags"),
    [
        ((), {}, ()),
        ((b"",), {}, ()),
        ((b"batch",), {}, ("batch",)),
        ((b"project=search, env=prod ,batch",), {}, ("project=search", "env=prod", "batch")),
        ((b"project=search", b"env=prod"), {}, ("project=search", "env=prod")),
        ((b"project = a b=c",), {}, ("project=a b=c",)),
        ((b"batch,batch",), {}, ("batch",)),
        ((), {"user": "ana"}, ("user=ana",)),
        ((), {"metadata": {"project": "search", "user_id": "u1"}}, ("project=search", "user_id=u1")),
        ((), {"user": "ana", "metadata": {"user": "ben"}}, ("user=ben",)),
        ((b"user=cem",), {"user": "ana", "metadata": {"user": "ben"}}, ("user=cem",)),
        ((), {"metadata": {"city": "Zürich"}}, ("city=Zürich",)),
    ],
)
def test_what_becomes_a_tag(header: tuple[bytes, ...], body: JsonObject, tags: tuple[str, ...]) -> None:
    assert tags_of(header, body) == tags


@pytest.mark.parametrize(
    "body",
    [
        {"user": 5},
        {"user": ""},
        {"user": "x" * 129},
        {"user": "two\nlines"},
        {"metadata": "project=search"},
        {"metadata": None},
        {"metadata": {"project": 5, "a b": "c", "": "d", "x" * 65: "e", "list": ["f"]}},
    ],
)
def test_what_has_no_form_of_a_tag_in_the_body_is_none_and_no_error(body: JsonObject) -> None:
    assert tags_of((), body) == ()


def test_metadata_makes_so_many_tags_and_no_more() -> None:
    tags = tags_of((), {"metadata": {f"n{number}": "v" for number in range(100)}})
    assert tags == tuple(f"n{number}=v" for number in range(MOST_TAGS))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"=search", '"=search"'),
        (b"project=", '"project="'),
        (b"project=search,,env=prod", 'not ""'),
        (b"two words", '"two words"'),
        (b"-x", '"-x"'),
        (b"x" * 65, "letters, digits and ._:/-"),
        (b"project=" + b"x" * 129, "a value of 1 to 128 visible"),
        ("project=Zürich".encode(), '"project='),
        (b"project=a\tb", '"project=a'),
        (",".join(f"n{number}" for number in range(17)).encode(), '"17 tags"'),
        (b"project=a,project=b", 'gives "project" two values, "a" and "b"; give it one.'),
        (b"project,project=b", 'gives "project" two values'),
    ],
)
def test_a_header_of_another_form_is_refused_with_the_fix(header: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tags_of((header,), {})
    assert caught.value.param == "x-headrace-tags"
    assert said in caught.value.message
    assert caught.value.message.startswith('The header "x-headrace-tags"')


@given(st.binary(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=5))
def test_whatever_comes_is_refused_or_has_one_tag_for_each_name(header: bytes, metadata: dict[str, str | int]) -> None:
    body: JsonObject = {"metadata": {**metadata}}
    try:
        tags = tags_of((header,), body)
    except InvalidRequest:
        return
    names = [tag.partition("=")[0] for tag in tags]
    assert len(set(names)) == len(names)
    assert all(tag.isprintable() for tag in tags)
