"""Bills in every format that is read, and what is refused with its place, its value and the fix."""

import json
from typing import Any

import pytest

from headrace.domain.bill import Figures
from headrace.domain.errors import InvalidRequest
from headrace.wire.invoice import AskedFormat, asked_format, read_bill

LAST_DAY = "2026-11-29"
USAGE_PAGE: dict[str, Any] = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": 1763942400,
            "end_time": 1764028800,
            "results": [
                {
                    "object": "organization.usage.completions.result",
                    "input_tokens": 1000,
                    "input_cached_tokens": 800,
                    "output_tokens": 500,
                    "num_model_requests": 5,
                    "project_id": None,
                    "model": "gpt-5.4-2026-03-01",
                    "batch": False,
                },
                {
                    "object": "organization.usage.completions.result",
                    "input_tokens": 0,
                    "input_cached_tokens": 0,
                    "output_tokens": 0,
                    "num_model_requests": 0,
                    "model": "gpt-5.4-mini",
                },
            ],
        },
        {"object": "bucket", "start_time": 1764028800, "end_time": 1764115200, "results": []},
    ],
    "has_more": True,
}
COSTS_CSV = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item,project_id
1763942400,1764028800,2025-11-24T00:00:00+00:00,2025-11-25T00:00:00+00:00,,,,,
1763942400,1764028800,2025-11-24T00:00:00+00:00,2025-11-25T00:00:00+00:00,0.003835980000000000000000,usd,,,
1763942400,1764028800,2025-11-24T00:00:00+00:00,2025-11-25T00:00:00+00:00,0.5,usd,10,"gpt-5-nano, input_tokens",p1
"""
ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": "2025-11-24T00:00:00Z",
            "ending_at": "2025-11-25T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 1500,
                    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
                    "cache_read_input_tokens": 200,
                    "output_tokens": 500,
                    "server_tool_use": {"web_search_requests": 10},
                    "model": "claude-opus-4-6",
                },
                {"uncached_input_tokens": 0, "output_tokens": 0, "model": "claude-opus-4-6"},
            ],
        }
    ],
    "has_more": False,
}
ANTHROPIC_COST = {
    "data": [
        {
            "starting_at": "2025-11-24T00:00:00Z",
            "results": [
                {"amount": "123.78912", "currency": "USD", "cost_type": "tokens", "model": "claude-opus-4-6"},
                {"amount": "2", "currency": "USD", "cost_type": "web_search", "description": "Web Search Usage"},
                {"amount": None, "currency": "USD"},
            ],
        }
    ]
}
ANTHROPIC_USAGE_CSV = """\
usage_date_utc,model_version,api_key,workspace,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,\
usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count
2025-11-24,claude-haiku-4-5-20251001,main,Default,10,2,3,40,7,0
"""
ANTHROPIC_COST_CSV = """\
usage_date_utc,model,workspace,token_type,cost_usd,list_price_usd,cost_type
2025-11-24,Claude Haiku 4.5,Default,input_no_cache,1.50,1.60,token
"""
ACTIVITY = {
    "data": [
        {
            "date": "2025-11-24",
            "model": "openai/gpt-4.1",
            "model_permaslug": "openai/gpt-4.1-2025-04-14",
            "usage": 1.5e-05,
            "byok_usage_inference": 0.012,
            "requests": 5,
            "prompt_tokens": 50,
            "completion_tokens": 125,
            "reasoning_tokens": 25,
        }
    ]
}
GENERATIONS = """\
generation_id,created_at,cost_total,tokens_prompt,tokens_completion,tokens_reasoning,model_permaslug
gen-1,2025-11-24 23:59:59.9,0.00021,10,20,5,acme/large
gen-2,2025-11-24 00:00:01.0,,1,2,0,acme/large
"""
GENERIC = """\
date;model;requests;input_tokens;cached_input_tokens;output_tokens;cost;currency;note
2025-11-24;small;3;1000;10;50;0.000000000001;usd;x
2025-11-24T23:30:00-02:00;small;;;;;12.50;;
"""


def told(text: str, form: AskedFormat = "auto") -> list[tuple[str, str, Figures]]:
    bill = read_bill(text, form, LAST_DAY)
    return [(line.day, line.model, line.figures) for line in bill.lines]


def test_usage_of_openai() -> None:
    bill = read_bill(json.dumps(USAGE_PAGE), "auto", LAST_DAY)
    (line,) = bill.lines
    assert (bill.form, line.place, line.day, line.model) == (
        "openai",
        "data[0].results[0]",
        "2025-11-24",
        "gpt-5.4-2026-03-01",
    )
    assert line.figures == Figures(requests=5, input_tokens=1000, cache_read_tokens=800, output_tokens=500)
    assert bill.remarks == ("The export says that it has more pages (has_more): days may be missing.",)


def test_costs_of_openai() -> None:
    bill = read_bill(COSTS_CSV, "openai", LAST_DAY)
    assert [(line.place, line.model, line.figures.cost_pico) for line in bill.lines] == [
        ("line 3", "", 3_835_980_000),
        ("line 4", "gpt-5-nano", 500_000_000_000),
    ]
    assert {line.step_pico for line in bill.lines} == {10_000}
    page = {"data": [{"start_time": 1763942400, "results": [{"amount": {"value": 0.06, "currency": "usd"}}]}]}
    assert told(json.dumps([page])) == [("2025-11-24", "", Figures(cost_pico=60_000_000_000))]


def test_usage_and_costs_of_anthropic() -> None:
    assert told(json.dumps(ANTHROPIC_USAGE)) == [
        ("2025-11-24", "claude-opus-4-6", Figures(None, 3_200, 200, 1_500, 500)),
    ]
    assert told(json.dumps(ANTHROPIC_COST)) == [
        ("2025-11-24", "claude-opus-4-6", Figures(cost_pico=1_237_891_200_000)),
        ("2025-11-24", "Web Search Usage", Figures(cost_pico=20_000_000_000)),
    ]
    assert told(ANTHROPIC_USAGE_CSV, "anthropic") == [
        ("2025-11-24", "claude-haiku-4-5-20251001", Figures(None, 55, 40, 5, 7)),
    ]
    assert told(ANTHROPIC_COST_CSV) == [("2025-11-24", "Claude Haiku 4.5", Figures(cost_pico=1_500_000_000_000))]


def test_activity_of_openrouter() -> None:
    assert told(json.dumps(ACTIVITY)) == [
        ("2025-11-24", "openai/gpt-4.1", Figures(5, 50, None, None, 125, 25, 15_000_000)),
    ]
    bill = read_bill(GENERATIONS, "auto", LAST_DAY)
    assert [(line.day, line.request_id, line.figures) for line in bill.lines] == [
        ("2025-11-24", "gen-1", Figures(1, 10, None, None, 20, 5, 210_000_000)),
        ("2025-11-24", "gen-2", Figures(1, 1, None, None, 2, 0, 0)),
    ]


def test_our_own_form() -> None:
    bill = read_bill("\ufeff" + GENERIC, "auto", LAST_DAY)
    assert [(line.day, line.figures) for line in bill.lines] == [
        ("2025-11-24", Figures(3, 1000, 10, None, 50, None, 1)),
        ("2025-11-25", Figures(0, 0, 0, None, 0, None, 12_500_000_000_000)),
    ]
    assert bill.remarks == ("Columns that are not read: note.",)
    assert read_bill("Date,Model,Cost\n2025-11-24,m,1", "generic", LAST_DAY).remarks == (
        "No currency is told; amounts are taken for US dollars.",
    )
    assert told('[{"date": "2025-11-24", "model": "m", "output_tokens": 3, "tags": ["x"]}]') == [
        ("2025-11-24", "m", Figures(output_tokens=3)),
    ]


def test_amounts_finer_than_a_pico_dollar_are_rounded_and_told_of() -> None:
    page = '{"data": [{"start_time": 1763942400, "results": [{"amount": {"value": 0.00026752499999999997}}]}]}'
    bill = read_bill(page, "auto", LAST_DAY)
    assert bill.lines[0].figures.cost_pico == 267_525_000
    assert bill.remarks == ("data[0].results[0]: 0.00026752499999999997 is finer than a pico-dollar and was rounded.",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The file is empty"),
        ("%PDF-1.7 ...", "neither CSV nor JSON"),
        ("PK\0\0", "neither CSV nor JSON"),
        ("just words", "neither CSV nor JSON: its first line is 'just words'"),
        ('{"data": [', "This is not JSON"),
        ('{"date": "2025-11-24", "cost": NaN}', "NaN is not JSON"),
        ('{"data": [3]}', "data[0] is not an object"),
        ("[3]", "The file is not an object"),
        ('[{"date":"2025-11-24","cost":1}, 3]', "[1] is not an object"),
        ('{"data": [{"start_time": 1, "results": [4]}]}', "data[0].results[0] is not an object"),
        ("a,b\n1,2", "No known format has these columns: a, b. Rename them"),
        ("date,model,cost\n", "no line with usage or costs"),
        ("date,model,cost,cost\n2025-11-24,m,1,1", 'The column "cost" stands twice'),
        ("date,model,cost\n2025-11-24,m,1,2", "Line 2 has 4 cells, the header 3"),
        ("date,model,cost\n2025-11-24,m,1\ndate,model,cost\n2025-11-25,m,1", "Line 3 is a second header"),
        ("date,model,cost\n2025-11-24,m,1\n\n2025-11-24,m,1", "Line 4 repeats line 2"),
        ('date,model,cost\n2025-11-24,"m"x,1', "is no CSV"),
        ("date,model,cost\n2025-11-24,m,-1", "line 2, cost: '-1' cannot be read: take credits and refunds out"),
        ("date,model,cost\n2025-11-24,m,NaN", "line 2, cost: 'NaN' cannot be read"),
        ("date,model,cost\n2025-11-24,m,inf", "line 2, cost: 'inf' cannot be read"),
        ("date,model,cost\n2025-11-24,m,$3", "without a currency sign"),
        ('date,model,cost\n2025-11-24,m,"1,5"', "with a point"),
        ("date,model,cost\n2025-11-24,m,1e12", "is it in another unit?"),
        ("date,model,cost\n2025-11-24,m," + "9" * 90, "cannot be read"),
        ("date,model,cost\n2025-11-24,m,0.0000000000001", "write at most twelve decimal places"),
        ("date,model,cost,currency\n2025-11-24,m,1,EUR", "line 2, currency: 'EUR' cannot be read: the books are in US"),
        ("date,model,requests\n2025-11-24,m,-1", "line 2, requests: '-1' cannot be read"),
        ("date,model,requests\n2025-11-24,m,1.5", "write a whole number"),
        ("date,model,requests\n2025-11-24,m,9999999999999999", "write a whole number"),
        ("date,model,cost\n2025-11-24,m,", "line 2: the cost is missing"),
        ("date,model,cost\n,m,1", "line 2: the date is missing"),
        ("date,model,cost\n24/11/2025,m,1", "write a date like 2026-11-24"),
        ("date,model,cost\n1763942400000,m,1", "write seconds since 1970"),
        ("date,model,cost\n2027-01-01,m,1", "dates go from 2015-01-01 to 2026-11-29"),
        ("date,model,cost\n1999-01-01,m,1", "dates go from"),
    ],
)
def test_what_is_refused_says_where_and_how_to_correct_it(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_bill(text, "auto", LAST_DAY)
    assert says in refused.value.message
    assert refused.value.code in ("bill_invalid", "invalid_json")


def test_results_of_two_kinds_are_refused() -> None:
    costs = {"start_time": 1763942400, "results": [{"object": "organization.costs.result", "amount": {"value": 1}}]}
    with pytest.raises(InvalidRequest, match="several kinds of results"):
        read_bill(json.dumps({"data": [*USAGE_PAGE["data"], costs]}), "auto", LAST_DAY)


def test_a_page_that_is_in_the_file_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"\[1\]\.data\[0\]\.results\[0\] repeats \[0\]\.data\[0\]\.results\[0\]"):
        read_bill(json.dumps([USAGE_PAGE, USAGE_PAGE]), "auto", LAST_DAY)


def test_a_file_of_another_format_is_named_as_such() -> None:
    with pytest.raises(InvalidRequest, match="not the columns of the format anthropic"):
        read_bill(COSTS_CSV, "anthropic", LAST_DAY)


def test_too_many_lines_are_refused() -> None:
    rows = "".join(f"2025-11-24,m{number},1\n" for number in range(4))
    results = ",".join(f'{{"date":"2025-11-24","cost":{number}}}' for number in range(4))
    for text, what in ((f"date,model,cost\n{rows}", "lines"), (f"[{results}]", "results")):
        assert len(read_bill(text, "auto", LAST_DAY, 4).lines) == 4
        with pytest.raises(InvalidRequest, match=f"over 3 {what}"):
            read_bill(text, "auto", LAST_DAY, 3)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="nests deeper"):
        read_bill("[" * 100_000, "auto", LAST_DAY)


def test_formats_are_known_by_name() -> None:
    assert asked_format("openrouter") == "openrouter"
    for wrong in ("xml", None, 3):
        with pytest.raises(InvalidRequest, match="format"):
            asked_format(wrong)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="surrogate"):
        read_bill('{"data":[{"date":"2026-11-24","model":"\\ud800","cost":"1"}]}', "auto", LAST_DAY)


def test_what_nests_too_deep_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="deeper than 64"):
        read_bill('{"date":' * 65 + "1" + "}" * 65, "auto", LAST_DAY)


def test_a_first_line_of_very_many_columns_is_refused_in_good_time() -> None:
    with pytest.raises(InvalidRequest, match="No known format"):
        read_bill(",".join(f"c{each}" for each in range(50_000)), "auto", LAST_DAY)


def test_a_moment_before_the_first_day_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="0001-01-01T00:00:00"):
        read_bill("date,cost\n0001-01-01T00:00:00+10:00,1\n", "auto", LAST_DAY)
