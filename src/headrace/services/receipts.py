"""Who may read which receipt: an access key its own, the admin token all; reading is the Receipts port's."""

from __future__ import annotations

from headrace.domain.access import Caller
from headrace.domain.errors import NotFound
from headrace.domain.receipt import Receipt
from headrace.ports.ledger import Receipts


class ReceiptReader:
    """Reads receipts on behalf of a caller."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    async def get(self, request_id: str, caller: Caller) -> Receipt:
        """Return one receipt; somebody else's is answered like one that does not exist, with NotFound."""
        found = await self._receipts.get(request_id, _scope(caller))
        if found is None:
            raise NotFound(
                f'No request "{request_id[:80]}" is known to this key. Replies carry their id in x-request-id; '
                "a request that was refused before anything was sent has no receipt.",
                code="request_not_found",
            )
        return found

    async def recent(self, caller: Caller, limit: int) -> tuple[Receipt, ...]:
        """Return the caller's newest receipts first."""
        return await self._receipts.recent(_scope(caller), limit)


def _scope(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.key_id
