"""What a budget may be, below HTTP; making and showing them is tests/contract/test_budget_routes.py."""

import pytest

from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.errors import InvalidRequest
from headrace.domain.money import MAX_NANO
from headrace.domain.snapshot import Snapshot
from headrace.services.budget_book import MOST_BUDGETS, WantedBudget, check_budget

NONE = Snapshot(1, models={}, providers={}, keys={})


@pytest.mark.parametrize("limit_nano", [-1, MAX_NANO + 1])
def test_a_limit_out_of_range_is_told(limit_nano: int) -> None:
    with pytest.raises(InvalidRequest, match="must be between 0 and") as refused:
        check_budget(WantedBudget("platform", Window.DAY, limit_nano), NONE)
    assert refused.value.param == "limit_usd"


@pytest.mark.parametrize("limit_nano", [0, MAX_NANO])
def test_the_ends_of_the_range_may_be_limits(limit_nano: int) -> None:
    check_budget(WantedBudget("platform", Window.DAY, limit_nano), NONE)


def test_there_is_an_end_to_the_number_of_budgets() -> None:
    budget = Budget("bud_1", "platform", Window.DAY, "UTC", 1, BudgetMode.REJECT, 0, 0)
    full = Snapshot(1, models={}, providers={}, keys={}, budgets=(budget,) * MOST_BUDGETS)
    with pytest.raises(InvalidRequest, match="remove one first"):
        check_budget(WantedBudget("platform", Window.DAY, 1), full)
