"""Sealed values open with their key in their place and nowhere else."""

import pytest

from headrace.domain.errors import StoreUnusable
from headrace.drivers.secrets.home_keys import HomeKeys
from headrace.drivers.secrets.sealing import SealedSecrets
from headrace.testing.clock import FakeRandom

OLD, NEW = b"\x01" * 32, b"\x02" * 32


def secrets(master: dict[int, bytes], seed: int = 0) -> SealedSecrets:
    return SealedSecrets(HomeKeys(b"", master, created=False), FakeRandom(seed))


def test_a_value_opens_in_its_context_only() -> None:
    sealer = secrets({1: OLD})
    sealed = sealer.seal("provider/openai", b"sk-123")
    assert sealer.open("provider/openai", sealed) == b"sk-123"
    assert b"sk-123" not in sealed
    with pytest.raises(StoreUnusable, match="does not open"):
        sealer.open("provider/acme", sealed)


def test_equal_values_never_look_alike() -> None:
    sealer = secrets({1: OLD})
    assert sealer.seal("a", b"same") != sealer.seal("a", b"same")


def test_a_new_master_key_seals_and_the_old_one_still_opens() -> None:
    sealed = secrets({1: OLD}).seal("a", b"text")
    both = secrets({1: OLD, 2: NEW})
    assert both.key_version == 2
    assert both.open("a", sealed) == b"text"
    with pytest.raises(StoreUnusable, match="master key 1"):
        secrets({2: NEW}).open("a", sealed)
    with pytest.raises(StoreUnusable, match="does not open"):
        secrets({1: NEW}).open("a", sealed)


def test_every_changed_byte_is_noticed() -> None:
    sealer = secrets({1: OLD})
    sealed = sealer.seal("a", b"text")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(StoreUnusable):
            sealer.open("a", bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(StoreUnusable):
            sealer.open("a", sealed[:length])
