"""What every request passes before a route sees it."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.access import Caller, Role
from headrace.domain.errors import (
    BodyTooLarge,
    HeadraceError,
    InvalidRequest,
    Unauthenticated,
    UnsupportedMedia,
    WrongHost,
)
from headrace.domain.secret import Secret
from headrace.domain.snapshot import Snapshot
from headrace.http.edge import (
    CallerLeft,
    EdgeLimits,
    Message,
    Receive,
    Scope,
    check_host,
    check_json,
    credential_of,
    headers_named,
    identify,
    read_body,
    read_json,
)
from headrace.services.identity import Identity, NewKey
from headrace.testing.clock import FakeRandom

pytestmark = pytest.mark.anyio

LIMITS = EdgeLimits(frozenset({"localhost", "127.0.0.1", "[::1]"}))
IDENTITY = Identity(Secret("p" * 32), FakeRandom())
KEY = IDENTITY.mint(NewKey("web", Role.KEY, "shop", None), 0)
SNAPSHOT = Snapshot(1, {}, {}, {KEY.key.public_id: KEY.key})
JSON = (b"content-type", b"application/json")


def a_scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers)}


def receiving(*blocks: bytes, then: Iterable[Message] = ()) -> Receive:
    messages: list[Message] = [
        {"type": "http.request", "body": block, "more_body": place + 1 < len(blocks)}
        for place, block in enumerate(blocks)
    ]
    left = iter([*messages, *then])

    async def receive() -> Message:
        return next(left)

    return receive


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:8080", b"127.0.0.1:1", b"[::1]:8080", b"[::1]"])
def test_our_hosts_are_served(host: bytes) -> None:
    check_host(a_scope((b"host", host)), LIMITS)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"host", b""),),
        ((b"host", b"evil.example.com"),),
        ((b"host", b"localhost.evil.example.com"),),
        ((b"host", b"localhost@evil.example.com"),),
        ((b"host", b"\xff"),),
        ((b"host", b"localhost"), (b"host", b"evil.example.com")),
        ((b"host", b"localhost"), (b"host", b"localhost")),
        ((b"x-forwarded-host", b"localhost"),),
    ],
)
def test_other_hosts_are_refused(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(WrongHost) as caught:
        check_host(a_scope(*headers), LIMITS)
    assert caught.value.status == 421
    check_host(a_scope(*headers), EdgeLimits(frozenset({"*"})))


@pytest.mark.parametrize(
    "headers",
    [
        ((b"authorization", b"Bearer hr_x"),),
        ((b"authorization", b"bearer  hr_x "),),
        ((b"x-api-key", b"hr_x"),),
        ((b"authorization", b"Bearer hr_x"), (b"x-api-key", b" hr_x")),
        ((b"authorization", b"Bearer hr_x"), (b"authorization", b"Bearer hr_x")),
    ],
)
def test_one_credential_may_be_sent_in_every_form(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert credential_of(a_scope(*headers)) == "hr_x"


@pytest.mark.parametrize(
    ("headers", "kind", "code"),
    [
        ((), Unauthenticated, "missing_api_key"),
        (((b"api-key", b"hr_x"),), Unauthenticated, "missing_api_key"),
        (((b"cookie", b"authorization=Bearer hr_x"),), Unauthenticated, "missing_api_key"),
        (((b"authorization", b""),), Unauthenticated, "invalid_api_key"),
        (((b"authorization", b"Bearer"),), Unauthenticated, "invalid_api_key"),
        (((b"authorization", b"Bearer  "),), Unauthenticated, "invalid_api_key"),
        (((b"authorization", b"Basic aHI="),), Unauthenticated, "invalid_api_key"),
        (((b"authorization", b"Bearer a"), (b"x-api-key", b"b")), InvalidRequest, "conflicting_credentials"),
        (((b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")), InvalidRequest, "conflicting_credentials"),
        (((b"authorization", b"Bearer a"), (b"authorization", b"Basic b")), Unauthenticated, "invalid_api_key"),
        (((b"x-api-key", b"a"), (b"x-api-key", b"")), InvalidRequest, "conflicting_credentials"),
    ],
)
def test_anything_else_is_a_denial(
    headers: tuple[tuple[bytes, bytes], ...], kind: type[HeadraceError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        credential_of(a_scope(*headers))
    assert caught.value.code == code


NAMES = st.sampled_from([b"authorization", b"x-api-key"])
VALUES = st.binary(max_size=90) | st.sampled_from([b"Bearer " + KEY.text.reveal().encode(), KEY.text.reveal().encode()])


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=3))
def test_any_headers_are_the_right_caller_or_a_denial(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        caller = identify(a_scope(*headers), SNAPSHOT, IDENTITY)
    except (Unauthenticated, InvalidRequest):
        return
    assert caller == Caller(KEY.key.public_id, "web", "shop", Role.KEY, None)
    assert any(KEY.text.reveal().encode() in value for _, value in headers)


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"Application/JSON ; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json;",
    ],
)
def test_plain_json_is_accepted(kind: bytes) -> None:
    check_json(a_scope((b"content-type", kind), (b"content-encoding", b"identity")))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"content-type", b""),),
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"application/json; charset=utf-16"),),
        ((b"content-type", b"application/x-www-form-urlencoded"),),
        ((b"content-type", b"\xff"),),
        (JSON, JSON),
        (JSON, (b"content-encoding", b"gzip")),
        (JSON, (b"content-encoding", b"identity"), (b"content-encoding", b"br")),
    ],
)
def test_other_bodies_are_refused(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        check_json(a_scope(*headers))
    assert caught.value.status == 415


@pytest.mark.parametrize("blocks", [(b"12345",), (b"12", b"345"), (b"1", b"", b"2345"), (b"12345", b"")])
async def test_a_body_up_to_the_limit_is_read_whole(blocks: tuple[bytes, ...]) -> None:
    assert await read_body(a_scope((b"content-length", b"5")), receiving(*blocks), 5) == b"12345"


@pytest.mark.parametrize("blocks", [(b"123456",), (b"123", b"456"), (b"123456", b"")])
async def test_a_longer_body_is_refused(blocks: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(a_scope(), receiving(*blocks), 5)


@pytest.mark.parametrize("length", [b"6", b"9" * 30])
async def test_a_length_over_the_limit_is_refused_unread(length: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(a_scope((b"content-length", length)), receiving(), 5)


@pytest.mark.parametrize("length", [b"-1", b"x", b""])
async def test_a_length_that_is_none_decides_nothing(length: bytes) -> None:
    assert await read_body(a_scope((b"content-length", length)), receiving(b"123"), 5) == b"123"


async def test_an_endless_body_is_not_read_on() -> None:
    asked: list[int] = []

    async def receive() -> Message:
        asked.append(1)
        return {"type": "http.request", "body": b"123", "more_body": True}

    with pytest.raises(BodyTooLarge):
        await read_body(a_scope(), receive, 5)
    assert len(asked) == 2


async def test_a_caller_who_leaves_is_noticed() -> None:
    gone: Message = {"type": "http.disconnect"}
    with pytest.raises(CallerLeft):
        await read_body(a_scope(), receiving(then=[gone]), 5)
    unfinished: Message = {"type": "http.request", "body": b"1", "more_body": True}
    with pytest.raises(CallerLeft):
        await read_body(a_scope(), receiving(then=[unfinished, gone]), 5)


async def test_a_json_body_is_read_strictly() -> None:
    assert await read_json(a_scope(JSON), receiving(b'{"a":', b"1}"), 100) == {"a": 1}
    with pytest.raises(InvalidRequest):
        await read_json(a_scope(JSON), receiving(b'{"a":1,"a":2}'), 100)
    with pytest.raises(UnsupportedMedia):
        await read_json(a_scope(), receiving(b"{}"), 100)


async def test_a_message_without_a_body_is_an_empty_one() -> None:
    assert await read_body(a_scope(), receiving(then=[{"type": "http.request"}]), 5) == b""


def test_every_value_of_a_header_is_found() -> None:
    scope = a_scope((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))
    assert headers_named(scope, b"a") == [b"1", b"3"]


@pytest.mark.parametrize("query", [b"model=m", b"beta=true&model=", b"%6dodel=m"])
def test_a_model_in_the_query_string_is_refused(query: bytes) -> None:
    json_type = [(b"content-type", b"application/json")]
    check_json({"type": "http", "headers": json_type, "query_string": b"beta=true&models=m"})
    with pytest.raises(InvalidRequest) as caught:
        check_json({"type": "http", "headers": json_type, "query_string": query})
    assert (caught.value.code, caught.value.param) == ("model_named_twice", "model")
