"""A process that books until it is killed; it tells its parent what was durable before it says so.

Run as `python ledger_child.py HOME FIRST_NUMBER STORE`.
"""

import asyncio
import os
import sys
from pathlib import Path

from headrace.domain.books import Progress
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import START_MICROS, STORES, OpenStore, new_ledger, opening, settlement

WORKERS = 20
STREAM_STEPS = 12


def tell(word: str, attempt_id: str) -> None:
    """Write a line at once, without a buffer that the kill would lose."""
    os.write(1, f"{word} {attempt_id}\n".encode())


async def book(home: Path, first_number: int, open_store: OpenStore) -> None:
    """Hold, send, count and settle without end."""
    clock = FakeClock(START_MICROS)
    ledger = new_ledger(open_store(home, clock), clock)
    await ledger.recover()
    numbers = iter(range(first_number, 10**6))

    async def work() -> None:
        for number in numbers:
            made = opening(number)
            await ledger.hold(made)
            tell("held", made.attempt_id)
            await ledger.sent(made.attempt_id, START_MICROS)
            tell("sent", made.attempt_id)
            for tokens in range(1, number % STREAM_STEPS):
                ledger.checkpoint(made.attempt_id, Progress(tokens, tokens * 10, START_MICROS + tokens))
                await ledger.balance("platform")
            await ledger.settle(settlement(made.attempt_id))
            tell("settled", made.attempt_id)

    await asyncio.gather(*(work() for _ in range(WORKERS)))


if __name__ == "__main__":
    asyncio.run(book(Path(sys.argv[1]), int(sys.argv[2]), STORES[sys.argv[3]]))
