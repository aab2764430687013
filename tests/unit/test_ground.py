"""The house rules catch what they name; the rules themselves live in tools/check_shape.py."""

from pathlib import Path

import pytest

from tools.check_shape import Finding, Rules, check_module, check_text, load_rules, owns
from tools.generate import difference, generators
from tools.source_files import is_text

ROOT = Path(__file__).parents[2]
RULES = Rules(frozenset({"src/headrace/long.py"}), frozenset({"ollama", "some-cloud"}))


def messages(text: str, path: str = "src/headrace/services/turn.py") -> list[str]:
    return [finding.message for finding in check_module(path, text, RULES)]


def nested(depth: int) -> str:
    lines = [f"{'    ' * (level + 1)}if a:\n" for level in range(depth)]
    return "def f(a):\n" + "".join(lines) + "    " * (depth + 1) + "return 1\n"


@pytest.mark.parametrize(("lines", "broken"), [(400, False), (401, True)])
def test_a_module_may_have_400_lines(lines: int, broken: bool) -> None:
    assert bool(messages("x = 1\n" * lines)) is broken


@pytest.mark.parametrize(("lines", "broken"), [(800, False), (801, True)])
def test_a_test_module_may_have_800_lines(lines: int, broken: bool) -> None:
    assert bool(messages("x = 1\n" * lines, "tests/unit/test_turn.py")) is broken


def test_a_long_module_needs_a_line_in_the_configuration() -> None:
    assert messages("x = 1\n" * 500, "src/headrace/long.py") == []


@pytest.mark.parametrize(("lines", "broken"), [(50, False), (51, True)])
def test_a_function_may_have_50_lines(lines: int, broken: bool) -> None:
    assert bool(messages("def f():\n" + "    g()\n" * (lines - 1))) is broken


@pytest.mark.parametrize(("depth", "broken"), [(3, False), (4, True)])
def test_blocks_may_nest_three_deep(depth: int, broken: bool) -> None:
    assert bool(messages(nested(depth))) is broken


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("for x in a:", "while x:"),
        ("with a:", "with b:"),
        ("match a:\n    case 1:", "if a:"),
        ("try:\n    pass\nexcept E:", "if a:"),
        ("try:\n    pass\nfinally:", "async for x in a:"),
        ("if a:\n    pass\nelse:\n    b = 1", "if a:"),
    ],
)
def test_every_kind_of_block_counts(outer: str, inner: str) -> None:
    deeper = 8 if "case" in outer else 4
    lines = [f"    {line}" for line in outer.splitlines()]
    lines += [f"{' ' * (deeper + 4 * level)}{inner}" for level in range(1, 4)] + [f"{' ' * (deeper + 16)}g()"]
    assert messages("async def f():\n" + "\n".join(lines) + "\n") == ["f nests 4 blocks deep: at most 3"]


def test_a_chain_of_elif_is_one_level() -> None:
    chain = "    if a == 0:\n        pass\n" + "".join(f"    elif a == {n}:\n        pass\n" for n in range(1, 9))
    assert messages("def f(a):\n" + chain) == []


DESCRIBING = ("msgspec.json.decode(data, type=A)", "msgspec.convert(raw, A)", "msgspec.json.Decoder(A)", "Converter(A)")


@pytest.mark.parametrize("call", DESCRIBING)
def test_types_are_described_at_the_level_of_a_module(call: str) -> None:
    inside = messages(f"def f(data, raw):\n    return {call}\n")
    assert [each.rpartition(":")[0] for each in inside] == [f"{call.partition('(')[0]} describes a type"]
    assert messages(f"READ = {call}\n") == []
    assert messages("def f(data):\n    return msgspec.json.decode(data)\n") == []


@pytest.mark.parametrize("statement", ["seen = {}", "seen: dict[str, int] = dict()", "seen = collections.deque()"])
def test_module_level_state_is_refused(statement: str) -> None:
    assert [m.split(":")[0] for m in messages(statement + "\n")] == ["seen is module-level mutable state"]


@pytest.mark.parametrize(
    "statement", ["seen = ()", "seen = frozenset({1})", "seen: Mapping[str, int] = {}", '__all__ = ["f"]']
)
def test_module_level_constants_are_fine(statement: str) -> None:
    assert messages(statement + "\n") == []


def test_a_global_statement_is_refused() -> None:
    assert len(messages("x = 1\ndef f():\n    global x\n    x = 2\n")) == 1


@pytest.mark.parametrize("text", ['f("ollama")\n', "ollama = 1\n", "class ollama:\n    pass\n", 'f(a="some-cloud")\n'])
def test_a_driver_is_named_only_in_its_own_file(text: str) -> None:
    assert len(messages(text)) == 1
    assert messages('f("ollama")\n', "src/headrace/drivers/providers/ollama.py") == []
    assert messages(text, "src/headrace/catalog/__init__.py") == []


def test_a_driver_owns_a_file_or_a_folder_of_its_name() -> None:
    assert owns("src/headrace/drivers/providers/some_cloud.py", "some-cloud")
    assert owns("src/headrace/drivers/providers/ollama/reader.py", "ollama")
    assert not owns("src/headrace/services/ollama.py", "ollama")


@pytest.mark.parametrize("stem", ["utils", "helper", "common", "turn_v2", "managers", "misc"])
def test_a_vague_module_name_is_refused(stem: str) -> None:
    assert len(messages("x = 1\n", f"src/headrace/services/{stem}.py")) == 1


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: S603",
        "# type: ignore",
        "# pyright: ignore[reportAny]",
        "# --------",
        "# TODO later",
    ],
)
def test_a_comment_that_hides_something_is_refused(comment: str) -> None:
    assert len(messages(f"x = 1  {comment}\n")) == 1


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: S603 - fixed command",
        "# pyright: ignore[reportAny] JSON enters",
        "# why - not what",
        "# TODO #12: later",
    ],
)
def test_a_comment_with_a_reason_is_fine(comment: str) -> None:
    assert messages(f"x = 1  {comment}\n") == []


@pytest.mark.parametrize(
    "parts",
    [
        ("see /", "work/main/x"),
        ("/", "home/ann/x"),
        ("https://files.python", "hosted.org/x"),
        ("py", "pi.org/p/x"),
    ],
)
def test_a_machine_path_or_registry_is_refused_in_any_text(parts: tuple[str, str]) -> None:
    line = "".join(parts)
    assert len(list(check_text("docs/a.md", f"first\n{line}\n"))) == 1
    assert next(check_text("docs/a.md", f"first\n{line}\n")).line == 2


@pytest.mark.parametrize("line", ["docs/work/x", "https://example.com/root/x", "$HOME/work/x", "~/.headrace/home"])
def test_ordinary_paths_are_fine(line: str) -> None:
    assert list(check_text("docs/a.md", line)) == []


@pytest.mark.parametrize("line", ["x @ https://example.com/x.whl", "--index-url https://example.com", "git+ssh://x"])
def test_requirement_files_hold_no_address(line: str) -> None:
    assert Finding("requirements/run.txt", 1, "requirement files hold names, versions and hashes, no address") in list(
        check_text("requirements/run.txt", line)
    )


def test_the_projects_own_configuration_loads() -> None:
    rules = load_rules(ROOT)
    assert not rules.driver_names & {"openai", "anthropic"}
    assert all((ROOT / path).is_file() for path in rules.long_modules)
    assert all(isinstance(arguments, list) for arguments in generators(ROOT).values())


def test_a_stale_generated_file_shows_its_difference() -> None:
    assert difference("a.json", "1\n", "1\n") == ""
    assert "+2" in difference("a.json", "1\n", "2\n")


@pytest.mark.parametrize(("name", "text"), [("Makefile", True), (".ci/run", True), ("a/b.py", True), ("a.onnx", False)])
def test_text_is_told_by_name(name: str, text: bool) -> None:
    assert is_text(name) is text
