import tomllib

from headrace.wire.toml_lines import key_lines, line_of, show

TEXT = '''# a comment = 1
[provider]
name = "a" # [not-a-table]
"quoted key" = """
[[not.a.table]]
key = 1
"""
raw = \'\'\'
x = 2\'\'\'

[[models]]
id = "x"
list = [
  "a", # ]
  "[b", { c = 1 },
]
[[models.prices]]
input = "1"
  [[ models . prices ]]
input = "2"
[models.local]
a.b = 1
[[models.local.weights]]
z = 1

[[models]]
id = 'y]'
inline = { prices = [1] }
[models."local"]
engine = "e"'''


def shown_lines() -> dict[str, int]:
    return {show(path): line for path, line in key_lines(TEXT).items()}


def test_every_table_and_key_has_the_line_it_stands_on() -> None:
    tomllib.loads(TEXT)
    lines = TEXT.splitlines()
    expected = {
        "provider": "[provider]",
        "provider.name": "name =",
        "provider.quoted key": '"quoted key" =',
        "provider.raw": "raw =",
        "models[0].id": 'id = "x"',
        "models[0].list": "list =",
        "models[0].prices[0]": "[[models.prices]]",
        "models[0].prices[0].input": 'input = "1"',
        "models[0].prices[1]": "  [[ models . prices ]]",
        "models[0].prices[1].input": 'input = "2"',
        "models[0].local": "[models.local]",
        "models[0].local.a.b": "a.b =",
        "models[0].local.weights[0].z": "z = 1",
        "models[1].id": "id = 'y]'",
        "models[1].inline": "inline =",
        "models[1].local": '[models."local"]',
        "models[1].local.engine": "engine =",
    }
    found = shown_lines()
    assert {name: lines[found[name] - 1][: len(start)] for name, start in expected.items()} == expected
    assert not any("not" in name or "key = 1" in name for name in found)


def test_what_has_no_line_gets_that_of_what_is_around_it() -> None:
    lines = key_lines(TEXT)
    assert line_of(lines, ("models", 1, "inline", "prices", 0)) == line_of(lines, ("models", 1, "inline"))
    assert line_of(lines, ("models", 0, "context_length")) == line_of(lines, ("models", 0))
    assert line_of(lines, ("nothing",)) == 1


def test_a_text_that_ends_anywhere_is_read_without_failing() -> None:
    for end in range(len(TEXT)):
        key_lines(TEXT[:end])
