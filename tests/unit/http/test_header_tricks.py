"""Whatever headers a caller sends: one credential is found, and it is the one that was sent, or none is."""

from __future__ import annotations

import itertools

import pytest

from headrace.domain.errors import HeadraceError, InvalidRequest, Unauthenticated
from headrace.http.edge import EdgeLimits, check_host, credential_of

MINE, OTHER = b"hr_mine", b"hr_other"
BEARER = (b"authorization", b"Bearer " + MINE)
X_KEY = (b"x-api-key", MINE)
INTERNAL = [
    (name.encode(), value)
    for name in (
        "x-headrace-account", "x-headrace-key-id", "x-headrace-role", "x-headrace-attempt", "x-headrace-request-id",
        "x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded",
        "x-original-url", "x-rewrite-url", "x-http-method-override", "x_api_key", "x_authorization", "api-key",
        "proxy-authorization", "cookie", "x-admin-token",
    )
    for value in (b"admin", b"Bearer " + OTHER, b"127.0.0.1")
]  # fmt: skip
HOP_BY_HOP = [(b"connection", each) for each in (b"authorization", b"x-api-key", b"host, authorization", b"close")]
TWINS = [
    [BEARER, (b"authorization", b"Bearer " + OTHER)],
    [BEARER, (b"x-api-key", OTHER)],
    [X_KEY, (b"x-api-key", OTHER)],
    [BEARER, X_KEY, (b"authorization", b"bearer " + OTHER)],
]
BAD = [b"", b"Bearer", b"Bearer ", b"Basic " + MINE, b"Bearer\t" + MINE, MINE, b"Token " + MINE, b'Digest a="b"']


@pytest.mark.parametrize("own", [[BEARER], [X_KEY], [BEARER, X_KEY], [BEARER, BEARER]])
@pytest.mark.parametrize("more", [*INTERNAL, *HOP_BY_HOP])
@pytest.mark.parametrize("is_first", [True, False])
def test_no_other_header_says_who_is_asking(
    own: list[tuple[bytes, bytes]], more: tuple[bytes, bytes], is_first: bool
) -> None:
    headers = [more, *own] if is_first else [*own, more]
    assert credential_of({"headers": headers}) == MINE.decode()


@pytest.mark.parametrize("more", INTERNAL)
def test_no_other_header_is_a_credential(more: tuple[bytes, bytes]) -> None:
    with pytest.raises(Unauthenticated):
        credential_of({"headers": [more]})


@pytest.mark.parametrize("headers", [list(each) for twins in TWINS for each in itertools.permutations(twins)])
def test_two_credentials_are_refused_in_any_order(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        credential_of({"headers": headers})
    assert caught.value.code == "conflicting_credentials"


@pytest.mark.parametrize("value", BAD)
def test_a_malformed_authorization_is_a_denial_even_beside_a_good_key(value: bytes) -> None:
    with pytest.raises(HeadraceError) as caught:
        credential_of({"headers": [X_KEY, (b"authorization", value)]})
    assert caught.value.status in (400, 401)


@pytest.mark.parametrize("more", [(b"x-forwarded-host", b"good"), (b"forwarded", b"host=good"), (b"host", b"evil")])
def test_no_other_header_says_which_host_is_meant(more: tuple[bytes, bytes]) -> None:
    with pytest.raises(HeadraceError):
        check_host({"headers": [(b"host", b"evil"), more]}, EdgeLimits(frozenset({"good"})))
