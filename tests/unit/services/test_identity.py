"""Minting and recognising credentials; whatever is not one is a denial."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import Forbidden, Unauthenticated
from headrace.domain.secret import Secret
from headrace.services.identity import Identity, Minted, NewKey, require_admin
from headrace.testing.clock import FakeRandom

PEPPER = Secret("p" * 32)
IDENTITY = Identity(PEPPER, FakeRandom(1))
KEY = IDENTITY.mint(NewKey("web", Role.KEY, "shop", frozenset({"one"})), 5)
ADMIN = IDENTITY.mint(NewKey("root", Role.ADMIN, "operator", None), 5)
KEYS = {each.key.public_id: each.key for each in (KEY, ADMIN)}
UNKNOWN = "The API key is not known here. It may be another server's; `headrace keys create` makes one."


def denied(credential: str, keys: dict[str, AccessKey] | None = None, identity: Identity = IDENTITY) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        identity.identify(credential, KEYS if keys is None else keys)
    assert caught.value.code == "invalid_api_key"
    return caught.value


@pytest.mark.parametrize(("minted", "prefix"), [(KEY, "hr_"), (ADMIN, "hra_")])
def test_a_minted_credential_is_recognised(minted: Minted, prefix: str) -> None:
    caller = IDENTITY.identify(minted.text.reveal(), KEYS)
    assert minted.text.reveal().startswith(f"{prefix}{minted.key.public_id}_")
    assert re.fullmatch(r"hra?_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}[0-9a-f]{8}", minted.text.reveal())
    assert (caller.key_id, caller.key_name) == (minted.key.public_id, minted.key.name)
    assert (caller.account, caller.role, caller.models) == (minted.key.account, minted.key.role, minted.key.models)
    assert minted.key.created_at_micros == 5


def test_what_is_stored_is_not_the_credential() -> None:
    assert KEY.text.reveal() not in repr(KEY)
    assert KEY.text.reveal().encode() not in KEY.key.digest
    assert len(KEY.key.digest) == 32
    denied(KEY.key.digest.hex())


@given(header=st.binary(max_size=80))
def test_any_header_bytes_are_a_denial(header: bytes) -> None:
    denied(header.decode("latin-1"))


@given(
    place=st.integers(0, 65),
    char=st.characters() | st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
    admin=st.booleans(),
)
def test_one_changed_character_is_a_denial(place: int, char: str, admin: bool) -> None:
    text = (ADMIN if admin else KEY).text.reveal()
    changed = text[:place] + char + text[place + 1 :]
    if changed != text:
        denied(changed)


@given(cut=st.integers(0, 64))
def test_a_part_is_a_denial(cut: int) -> None:
    denied(KEY.text.reveal()[:cut])
    denied(KEY.text.reveal()[cut + 1 :])


@pytest.mark.parametrize("odd", ["{}\n", " {}", "{} ", "{}\x00", "Bearer {}", "{}{}"])
def test_something_around_it_is_a_denial(odd: str) -> None:
    denied(odd.replace("{}", KEY.text.reveal()))


def test_an_unknown_key_is_a_denial() -> None:
    assert denied(KEY.text.reveal(), {}).message == UNKNOWN
    other = Identity(Secret("q" * 32), FakeRandom(1))
    assert denied(KEY.text.reveal(), identity=other).message == UNKNOWN


def test_a_role_is_bound_to_its_prefix() -> None:
    swapped = {KEY.key.public_id: replace(KEY.key, role=Role.ADMIN)}
    assert denied(KEY.text.reveal(), swapped).message == UNKNOWN


def test_another_keys_secret_under_a_known_id_is_a_denial() -> None:
    moved = {KEY.key.public_id: replace(ADMIN.key, public_id=KEY.key.public_id)}
    denied(KEY.text.reveal(), moved)


def test_a_revoked_key_is_a_denial() -> None:
    revoked = {KEY.key.public_id: replace(KEY.key, revoked_at_micros=9)}
    assert denied(KEY.text.reveal(), revoked).message.startswith(
        "The API key was revoked. `headrace keys create` makes another."
    )


def test_no_two_minted_credentials_are_alike() -> None:
    minted = [IDENTITY.mint(NewKey("x", Role.KEY, "a", None), 0) for _ in range(50)]
    assert len({each.text.reveal() for each in minted}) == 50
    assert len({each.key.public_id for each in minted}) == 50


def test_a_short_pepper_is_refused() -> None:
    with pytest.raises(ValueError, match="pepper"):
        Identity(Secret(""), FakeRandom())


def test_only_the_admin_token_opens_the_control_plane() -> None:
    require_admin(IDENTITY.identify(ADMIN.text.reveal(), KEYS))
    with pytest.raises(Forbidden) as caught:
        require_admin(IDENTITY.identify(KEY.text.reveal(), KEYS))
    assert caught.value.code == "admin_required"


def test_a_fingerprint_says_nothing_to_who_has_no_pepper() -> None:
    assert IDENTITY.fingerprint(b"one") == Identity(PEPPER, FakeRandom(2)).fingerprint(b"one")
    assert IDENTITY.fingerprint(b"one") != IDENTITY.fingerprint(b"two")
    assert IDENTITY.fingerprint(b"one") != Identity(Secret("q" * 32), FakeRandom(1)).fingerprint(b"one")
    assert re.fullmatch(r"[0-9a-f]{64}", IDENTITY.fingerprint(b""))
