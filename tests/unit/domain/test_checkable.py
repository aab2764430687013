"""Checking answers: what passes each check, what does not, and that no text stops a check."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.checkable import LONGEST_ANSWER, Check, Checkable, bare, faults, is_right


def an_item(check: Check, *expected: str, prompt: str = "Well?") -> Checkable:
    return Checkable("one", "kind", prompt, check, expected, 1)


ITEMS = (
    an_item(Check.EQUALS, "OK-7"),
    an_item(Check.NUMBER, "42"),
    an_item(Check.CONTAINS, "vitamin D"),
    an_item(Check.ONE_OF, "B", "B the roots"),
    an_item(Check.REGEX, r"(?:[^\sA-Z]+ ){7}[^\sA-Z]+", r"(?=[^A-Z]*[A-Z])[^a-z\n]+"),
    an_item(Check.JSON_KEYS, "ok=true", "n"),
)


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("OK-7", True),
        ("  OK-7\n", True),
        ('"OK-7"', True),
        ("`OK-7`", True),
        ("```text\nOK-7\n```", True),
        ("<think>They want OK-8.</think>\nOK-7", True),
        ("ok-7", False),
        ("OK-7.", False),
        ("OK 7", False),
        ("", False),
    ],
)
def test_equals_is_letter_by_letter(answer: str, passes: bool) -> None:
    assert is_right(an_item(Check.EQUALS, "OK-7"), answer) is passes


@pytest.mark.parametrize(
    ("expected", "answer", "passes"),
    [
        ("42", "42", True),
        ("42", "The answer is 42.", True),
        ("42", "**42**", True),
        ("42", r"\boxed{42}", True),
        ("42", "6 x 7 = 42 pencils", True),
        ("42", "042.00", True),
        ("42", "$42", True),
        ("42", "42%", True),
        ("42", "42 cm^2", True),
        ("42", "It is 42 g of CO2", True),
        ("42", "-42", False),
        ("42", "\u221242", False),
        ("42", "41", False),
        ("42", "42 or 43", False),
        ("42", "forty-two", False),
        ("42", "", False),
        ("-3", "x = -3", True),
        ("-3", "\u22123", True),
        ("3", "10-3", True),
        ("1234.5", "1,234.50", True),
        ("0.75", "It is .75", True),
        ("0", "-0", True),
        ("7", "1234,7", True),
        ("12", "9" * 6000, False),
    ],
)
def test_number_is_the_last_one_in_the_answer(expected: str, answer: str, passes: bool) -> None:
    assert is_right(an_item(Check.NUMBER, expected), answer) is passes


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("It is Vitamin D.", True),
        ("vitamin-d", True),
        ("**Vitamin D**\nmade in the skin", True),
        ("vitamins D", False),
        ("vitamin D3", False),
        ("", False),
    ],
)
def test_contains_wants_whole_words(answer: str, passes: bool) -> None:
    assert is_right(an_item(Check.CONTAINS, "vitamin D"), answer) is passes
    both = an_item(Check.CONTAINS, "vitamin D", "skin")
    assert is_right(both, answer) is (passes and "skin" in answer)


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("B", True),
        ("b.", True),
        ("(B)", True),
        ("B) the roots", True),
        ("The answer is B.", True),
        ("So the correct answer is: **B**", True),
        ("Let me think: water comes from below.\n\nAnswer: B", True),
        ("B\n\nThe roots take up water.", True),
        ("A", False),
        ("B or C", False),
        ("Between B\nand C", False),
        ("", False),
        ("...", False),
    ],
)
def test_one_of_is_the_first_or_the_last_line(answer: str, passes: bool) -> None:
    assert is_right(an_item(Check.ONE_OF, "B", "B the roots"), answer) is passes


def test_one_of_does_not_mind_an_article() -> None:
    assert is_right(an_item(Check.ONE_OF, "knight"), "A knight.")
    assert is_right(an_item(Check.ONE_OF, "knight"), "The answer is a knight")
    assert is_right(an_item(Check.ONE_OF, "A"), "A")
    assert is_right(an_item(Check.ONE_OF, "pão"), "Pão")


def test_regex_is_the_whole_answer() -> None:
    item = an_item(Check.REGEX, r"[a-z]+, [a-z]+", r"none")
    assert is_right(item, " red, blue\n")
    assert is_right(item, "none")
    assert not is_right(item, "red, blue and green")


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ('{"ok": true, "n": 5}', True),
        ('```json\n{"n": null, "ok": true}\n```', True),
        ('{"ok": true}', False),
        ('{"ok": true, "n": 5, "m": 6}', False),
        ('{"ok": 1, "n": 5}', False),
        ('{"ok": false, "n": 5}', False),
        ('Here it is: {"ok": true, "n": 5}', False),
        ("[1, 2]", False),
        ("{", False),
        ("[" * 9000, False),
        ('{"n": ' + "9" * 6000 + ', "ok": true}', False),
    ],
)
def test_json_keys_are_exactly_these(answer: str, passes: bool) -> None:
    assert is_right(an_item(Check.JSON_KEYS, "ok=true", "n"), answer) is passes


def test_json_values_are_compared_as_json() -> None:
    assert is_right(an_item(Check.JSON_KEYS, "items=[1, 2]"), '{"items": [1.0, 2]}')
    assert not is_right(an_item(Check.JSON_KEYS, "items=[1, 2]"), '{"items": [true, 2]}')
    assert not is_right(an_item(Check.JSON_KEYS, "items=[1, 2]"), '{"items": [1]}')
    assert is_right(an_item(Check.JSON_KEYS, 'a={"x": 1}'), '{"a": {"x": 1}}')


def test_an_endless_answer_is_wrong() -> None:
    assert is_right(an_item(Check.NUMBER, "42"), " " * (LONGEST_ANSWER - 2) + "42")
    assert not is_right(an_item(Check.NUMBER, "42"), " " * LONGEST_ANSWER + "42")


@given(st.text())
def test_any_text_is_right_or_wrong(answer: str) -> None:
    assert {is_right(each, answer) for each in ITEMS} <= {True, False}


@pytest.mark.parametrize("piece", ["a", "A ", "1,111", "a b ", "```", "\n", '{"ok":', "\u2212", ". ", "- a\n", "the "])
def test_no_text_keeps_a_check_busy(piece: str) -> None:
    answer = (piece * LONGEST_ANSWER)[:LONGEST_ANSWER]
    began = time.process_time()
    for item in ITEMS:
        is_right(item, answer)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (an_item(Check.NUMBER, "twelve"), '"twelve" is not a number'),
        (an_item(Check.CONTAINS, "..."), '"..." has no letter or digit'),
        (an_item(Check.ONE_OF, "?"), '"?" has no letter or digit'),
        (an_item(Check.CONTAINS, "Rome", prompt="Is it Rome?"), '"Rome" stands in the prompt: an echo would pass'),
        (an_item(Check.EQUALS, " x"), '" x" begins or ends with what is cut off an answer'),
        (an_item(Check.REGEX, "("), '"(" is not a regular expression'),
        (an_item(Check.JSON_KEYS, "=1"), '"=1" is not KEY or KEY=JSON'),
        (an_item(Check.JSON_KEYS, ""), '"" is not KEY or KEY=JSON'),
        (an_item(Check.JSON_KEYS, "a=b"), '"a=b" is not KEY or KEY=JSON'),
    ],
)
def test_a_useless_item_is_named(item: Checkable, problem: str) -> None:
    assert list(faults(item)) == [problem]


def test_a_good_item_has_no_faults() -> None:
    assert [fault for each in ITEMS for fault in faults(each)] == []


def test_bare_words() -> None:
    assert bare("  **The_Roots**, (of) it! ") == "the roots of it"
