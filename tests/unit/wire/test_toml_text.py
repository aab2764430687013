"""Tables of a catalog file written as TOML."""

import datetime
import tomllib

from headrace.wire.toml_text import table_text

TABLE = {
    "effective": datetime.date(2026, 11, 25),
    "source": 'a "quoted" source, with ü and \\',
    "input": "1.5",
    "tiers": [{"over_input_tokens": 200, "input": "2"}, {"over_input_tokens": 300, "input": "3"}],
    "windows": [{"from_utc": "01:00", "days": ["mon", "tue"], "multiplier": "2"}],
}


def test_what_is_written_reads_back() -> None:
    text = f"[[models]]\n{table_text('models.prices', TABLE)}"
    assert tomllib.loads(text) == {"models": [{"prices": [TABLE]}]}


def test_tables_in_a_table_follow_its_own_keys() -> None:
    table = {"tiers": [{"input": "2"}], "input": "1"}
    assert table_text("a", table) == '[[a]]\ninput = "1"\n\n[[a.tiers]]\ninput = "2"'


def test_a_table_in_a_value_is_written_in_a_line() -> None:
    assert table_text("a", {"service_tiers": {"flex": "0.5", "priority": "2"}}) == (
        '[[a]]\nservice_tiers = { flex = "0.5", priority = "2" }'
    )


def test_a_key_of_others_ends_nothing() -> None:
    table = {"service_tiers": {'x = "1" }\n[[models]]\nid = "evil': "2", "a.b": "3", "": "4", "del\x7f": "5"}}
    assert tomllib.loads(table_text("a", table)) == {"a": [table]}
