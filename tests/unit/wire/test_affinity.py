"""What the headers of a session may say."""

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.wire.affinity import affinity_of, switch_spend_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([b"agent-7"], "agent-7"),
        ([b"  a b  "], "a b"),
        ([b"x" * 256], "x" * 256),
        ([b"same", b"same"], "same"),
        ([b"none"], "none"),
        ([b"NONE"], "none"),
    ],
)
def test_a_session_is_named_by_the_caller(values: list[bytes], expected: str | None) -> None:
    assert affinity_of(values) == expected


@pytest.mark.parametrize("values", [[b""], [b"   "], [b"x" * 257], [b"a\tb"], [b"\xe9"], [b"a\x00"], [b"a", b"b"]])
def test_what_is_no_session_id_is_refused_naming_the_header(values: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="X-Model-Affinity must be one session id") as caught:
        affinity_of(values)
    assert caught.value.param == "X-Model-Affinity"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([b"0"], 0),
        ([b"10"], 100_000),
        ([b" 12.5 "], 125_000),
        ([b"0.0001"], 1),
        ([b"100"], 1_000_000),
        ([b"100.0"], 1_000_000),
        ([b"7", b"7"], 70_000),
    ],
)
def test_the_budget_is_a_percentage(values: list[bytes], expected: int | None) -> None:
    assert switch_spend_of(values) == expected


@pytest.mark.parametrize(
    "values",
    [[b""], [b"-1"], [b"101"], [b"100.0001"], [b"1e1"], [b"nan"], [b"ten"], [b"1.00001"], [b"5%"], [b"1", b"2"]],
)
def test_what_is_no_percentage_is_refused_naming_the_header(values: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="must be a number from 0 to 100") as caught:
        switch_spend_of(values)
    assert caught.value.param == "x-routing-max-switch-spend-pct"
