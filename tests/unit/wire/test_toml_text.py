"""Tables of a catalog file written as TOML."""

import datetime
import tomllib

import pytest

from headrace.wire.toml_text import table_text, without_table

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


FILE = """# mine
[provider]
name = "local"

# the first
[[models]]  # of two
id = "one"

[[models.prices]]
input = "0"

[models.local]
engine = "e"

# the second
[[ models ]]
id = "two"
note = '''
said so
'''

[after]
key = 1
"""


def cut(name: str, text: str = FILE) -> str | None:
    return without_table(text, "models", lambda table: table["id"] == name)


def test_a_table_is_cut_with_all_below_it_and_nothing_else() -> None:
    assert cut("one") == FILE[: FILE.index("[[models]]  #")] + FILE[FILE.index("# the second") :]
    assert cut("two") == FILE[: FILE.index("[[ models ]]")] + FILE[FILE.index("[after]") :]
    last = FILE[: FILE.index("[after]")]
    assert cut("two", last) == last[: last.index("[[ models ]]")]


def test_the_only_table_leaves_the_rest() -> None:
    assert cut("one", '[provider]\nname = "local"\n\n[[models]]\nid = "one"\n') == '[provider]\nname = "local"\n\n'


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace("said so", "[[models]]"),
        'models = [{ id = "one" }]\n',
        FILE.replace("said so", "[other]"),
    ],
)
def test_a_file_whose_lines_do_not_tell_is_left_to_people(text: str) -> None:
    wanted = "two" if "two" in text else "one"
    assert cut(wanted, text) is None


def test_what_is_not_there_is_not_cut() -> None:
    assert cut("three") is None
    assert without_table(FILE, "others", lambda _: True) is None
