"""Who may read which receipt."""

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.errors import NotFound
from headrace.services.receipts import ReceiptReader
from tests.control_world import MemoryReceipts, make_receipt


def caller(key_id: str, role: Role = Role.KEY) -> Caller:
    return Caller(key_id, "name", "shop", role, None)


@pytest.fixture
def reader() -> ReceiptReader:
    store = MemoryReceipts()
    store.receipts += [make_receipt("req_1", "k1"), make_receipt("req_2", "k2"), make_receipt("req_3", "k1")]
    return ReceiptReader(store)


async def test_a_key_reads_its_own_even_where_another_key_shares_its_account(reader: ReceiptReader) -> None:
    assert [each.request_id for each in await reader.recent(caller("k1"), 10)] == ["req_3", "req_1"]
    assert (await reader.get("req_1", caller("k1"))).request_id == "req_1"
    with pytest.raises(NotFound) as caught:
        await reader.get("req_2", caller("k1"))
    assert caught.value.code == "request_not_found"


async def test_the_admin_token_reads_all(reader: ReceiptReader) -> None:
    admin = caller("a", Role.ADMIN)
    assert [each.request_id for each in await reader.recent(admin, 2)] == ["req_3", "req_2"]
    assert (await reader.get("req_2", admin)).key_id == "k2"
