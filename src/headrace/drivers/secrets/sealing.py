"""Owns sealing bytes with AES-256-GCM bound to a context; where keys and sealed values lie is not its concern.

A sealed value is: one byte format (1), two bytes key version, twelve bytes nonce, then text and tag.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.domain.errors import StoreUnusable
from headrace.drivers.secrets.home_keys import HomeKeys
from headrace.ports.ambient import Randomness

FORMAT = 1
NONCE_BYTES = 12
HEADER_BYTES = 3
TAG_BYTES = 16


class SealedSecrets:
    """Seals with the newest master key and opens with whichever sealed."""

    def __init__(self, keys: HomeKeys, randomness: Randomness) -> None:
        self.key_version = keys.current_version
        self._ciphers = {version: AESGCM(key) for version, key in keys.master.items()}
        self._randomness = randomness

    def seal(self, context: str, plain: bytes) -> bytes:
        """Seal with the current master key; the context is authenticated, not stored."""
        header = bytes([FORMAT]) + self.key_version.to_bytes(2, "big")
        nonce = self._randomness.token_bytes(NONCE_BYTES)
        return header + nonce + self._ciphers[self.key_version].encrypt(nonce, plain, _bound(header, context))

    def open(self, context: str, sealed: bytes) -> bytes:
        """Open a sealed value; raises StoreUnusable when key or context do not match."""
        header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
        if len(rest) < NONCE_BYTES + TAG_BYTES or header[0] != FORMAT:
            raise StoreUnusable(f"The sealed value of {context} is damaged: set it again.")
        version = int.from_bytes(header[1:], "big")
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise StoreUnusable(
                f"The sealed value of {context} needs master key {version}, which is not in HOME/secrets: "
                "put that file back, or set the value again."
            )
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _bound(header, context))
        except InvalidTag as error:
            raise StoreUnusable(
                f"The sealed value of {context} does not open: the master key is another one or the value was "
                "changed. Put HOME/secrets back, or set the value again."
            ) from error


def _bound(header: bytes, context: str) -> bytes:
    return header + context.encode()
