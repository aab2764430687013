from headrace.domain.finding import SHOWN, Finding, config_invalid


def finding(line: int) -> Finding:
    return Finding("a.toml", line, "provider.name", "is wrong", "Write it right.")


def test_a_finding_names_file_line_key_problem_and_fix() -> None:
    assert finding(3).render() == "a.toml:3: provider.name: is wrong\n    fix: Write it right."
    assert Finding("a.toml", 1, "", "x", "y").render() == "a.toml:1: x\n    fix: y"


def test_the_error_shows_findings_in_order_once_and_counts_the_rest() -> None:
    error = config_invalid([*(finding(line) for line in range(SHOWN + 5, 0, -1)), finding(1)])
    shown = error.message.split("\n")
    assert shown[0].startswith("a.toml:1: ")
    assert shown[-1] == "… and 5 more."
    assert len(shown) == 2 * SHOWN + 1
    assert error.extra == {"file": "a.toml", "line": 1}
    assert error.param == "provider.name"
