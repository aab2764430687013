"""The stable beginning of a prompt as a key: requests that begin alike find the same engine's cache of it.

It is what a later turn of the conversation still has: the system prompt, the tools and the first words of the user, as
far as routing reads them. It never leaves the process.
"""

from __future__ import annotations

import hashlib

from headrace.domain.call import Call, Operation
from headrace.wire.conversation import opening_of

DIGEST_BYTES = 16
_PROMPTED = frozenset({Operation.CHAT, Operation.COMPLETIONS})


def prompt_prefix(call: Call) -> bytes:
    """Return the key of a call's prompt; empty where nothing is said that another request could share."""
    if call.operation not in _PROMPTED:
        return b""
    opening = opening_of(call.dialect, call.body)
    if not opening.strip("\x1f"):
        return b""
    return hashlib.blake2b(opening.encode(), digest_size=DIGEST_BYTES).digest()
