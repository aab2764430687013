"""The checkable prompts that ship: how many of what, and that what they expect is true."""

import contextlib
import io
import math
import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import pytest

from headrace.domain.checkable import Check, is_right
from headrace.drivers.catalogs.checkable import shipped_checkable

ITEMS = {each.id: each for each in shipped_checkable()}
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
# What can be computed is computed here once more, apart from the file.
TRUTHS: Mapping[str, object] = {
    "arithmetic-01": 7 + 8,
    "arithmetic-02": 15 - 9,
    "arithmetic-03": 6 * 7,
    "arithmetic-04": 72 // 8,
    "arithmetic-05": 47 + 86,
    "arithmetic-06": 503 - 178,
    "arithmetic-07": 14 * 12,
    "arithmetic-08": 360 * 25 // 100,
    "arithmetic-09": 7**2 - 5**2,
    "arithmetic-10": 1.5 + 2.75,
    "arithmetic-11": 3 + 4 * 5,
    "arithmetic-12": math.isqrt(144),
    "arithmetic-13": 37 * 43,
    "arithmetic-14": 1008 // 24,
    "arithmetic-15": (18 - 6) * (7 + 5) // 9,
    "arithmetic-16": 1000 % 37,
    "arithmetic-17": 2**13,
    "arithmetic-18": math.gcd(84, 126),
    "arithmetic-19": math.lcm(12, 18),
    "arithmetic-20": 240 * 175 // 1000,
    "arithmetic-21": 387 * 946,
    "arithmetic-22": math.factorial(15) // math.factorial(13),
    "arithmetic-23": sum(range(1, 251)),
    "arithmetic-24": pow(7, 100, 13),
    "arithmetic-25": 48619 * 7308,
    "arithmetic-26": sum(all(n % d for d in range(2, n)) for n in range(100, 151)),
    "word-problem-01": 5 + 4,
    "word-problem-02": 20 - 6 + 3,
    "word-problem-03": 6 * 8,
    "word-problem-04": 14 * 5 - 10,
    "word-problem-05": 180 // 12,
    "word-problem-06": 700 // 50,
    "word-problem-07": 45 + 95 - 60,
    "word-problem-08": 48 + 48 // 2,
    "word-problem-09": 240 - 240 * 3 // 8,
    "word-problem-10": (150 + 90) // (2 + 1),
    "word-problem-11": 80 * 75 * 110 // 10000,
    "word-problem-12": next(3 * s for s in range(1, 99) if 3 * s + 12 == 2 * (s + 12)),
    "word-problem-13": next(g for g in range(21) if 4 * g + 2 * (20 - g) == 56),
    "word-problem-14": 5,
    "word-problem-15": next(w * (w + 4) for w in range(1, 24) if 2 * (2 * w + 4) == 48),
    "word-problem-16": 24 // 4 * 5 - 24 // 6 * 5,
    "word-problem-17": 1 / (Fraction(1, 6) + Fraction(1, 4) - Fraction(1, 12)),
    "word-problem-18": 10 * 30 // 12 - 10,
    "word-problem-19": 12 - 3 + 1,
    "word-problem-20": 360 // (70 + 50) * 90,
    "word-problem-21": 5 * 3 * 2,
    "word-problem-22": sum(day % 7 == 1 for day in range(1, 32)),
    "word-problem-23": math.factorial(5) - 2 * math.factorial(4),
    "word-problem-24": sum(n % 3 != 0 and n % 5 != 0 and n % 7 != 0 for n in range(1, 1001)),
    "word-problem-25": sum(5 * a + 10 * b + 20 * c == 50 for a in range(11) for b in range(6) for c in range(3)),
    "word-problem-26": ((1000 * Fraction(11, 10) - 200) * Fraction(11, 10) - 200) * Fraction(11, 10) - 200,
    "fact-26": next(n for n in range(101, 1000) if sum(d for d in range(1, n) if n % d == 0) == n),
    "string-01": "table".upper(),
    "string-02": "sun" + "flower",
    "string-03": len("house"),
    "string-04": "".join(w[0] for w in ["red", "ocean", "cat", "kite"]),
    "string-05": "banana".replace("a", "o"),
    "string-06": "The old clock on the wall has stopped".count(" ") + 1,
    "string-07": "stone"[::-1],
    "string-08": "garden"[-1],
    "string-09": "a b c d e".replace(" ", ""),
    "string-10": "mississippi".count("s"),
    "string-11": "keyboard"[::-1],
    "string-12": "abcdefghij"[::2],
    "string-13": "".join(c for c in "notification" if c not in "aeiou"),
    "string-14": "t" + "plane"[1:] + "p",
    "string-15": "-".join(["one", "two", "three"]),
    "string-16": "language".index("g") + 1,
    "string-17": "".join(chr(ord(c) + 3) for c in "cat"),
    "string-18": "information"[::-1],
    "string-19": len(set("onomatopoeia")),
    "string-20": "".join(sorted("triangle")),
    "string-21": re.sub("([A-Z])", lambda m: "_" + m[0].lower(), "maxRetryCount"),
    "string-22": "every good boy deserves fudge"[::-1],
    "string-23": "uryyb jbeyq".translate(str.maketrans(ALPHABET, ALPHABET[13:] + ALPHABET[:13])),
    "string-24": "Seven eager engineers never expected the elevator between levels eleven and three".lower().count("e"),
    "logic-11": 2 + 1,
    "logic-15": 2 + 1,
    "logic-20": next(n for n in range(9) if 3**n >= 9),
    "ordering-01": sorted([5, 2, 9]),
    "ordering-02": sorted([10, 30, 20], reverse=True),
    "ordering-03": sorted("dacb"),
    "ordering-04": sorted(["pear", "apple", "fig", "lemon"]),
    "ordering-05": sorted([41, 14, 4, 104, 40]),
    "ordering-06": ["Tuesday", "Wednesday", "Friday", "Sunday"],
    "ordering-07": ["February", "April", "June", "November"],
    "ordering-08": sorted([0.5, 0.45, 0.405, 0.54]),
    "ordering-09": sorted([-3, 2, -7, 0, 5]),
    "ordering-10": sorted(["banana", "kiwi", "strawberry", "fig", "lemon"], key=len),
    "ordering-11": ["Venus", "Earth", "Mars", "Jupiter"],
    "ordering-12": [3, 8, 1, 6][::-1],
    "ordering-13": sorted(["file10", "file2", "file1"]),
    "ordering-14": sorted(["1/2", "2/5", "3/7", "4/9"], key=Fraction),
    "ordering-15": sorted(["2021-03-05", "2020-12-31", "2021-02-28", "2020-11-30"]),
    "ordering-16": sorted(["stone", "cloud", "river", "piano", "beach"], key=lambda word: word[-1]),
    "ordering-17": ["Rob", "Max", "Ida", "Sue"],
    "ordering-18": [n for n in range(20, 51) if all(n % d for d in range(2, n))],
    "ordering-19": sorted([91, 300, 47, 59, 16], key=lambda n: sum(map(int, str(n)))),
    "ordering-20": sorted([83, 17, 56, 92, 4, 71, 38, 65, 29, 10, 47]),
}
PROGRAM = re.compile(r"```python\n(.*?)\n```", re.DOTALL)
FORMATTED: Mapping[str, str] = {
    "format-03": "7",
    "format-04": "otter",
    "format-05": "salt wind waves",
    "format-06": "red, blue",
    "format-08": '{"name": "Ina", "age": 30}',
    "format-09": "Will it rain tomorrow?",
    "format-10": "The dog sleeps all day.",
    "format-11": "- fig\n- pear\n- plum",
    "format-12": '{"city": "Rome", "country": "Italy", "population": 2750000}',
    "format-13": "2024-01-01",
    "format-14": "GOOD MORNING!",
    "format-15": '{"items": [1, 2, 3]}',
    "format-16": "1. spring\n2. summer\n3. autumn\n4. winter",
    "format-17": "the moon pulls the sea.",
    "format-18": "Bread is old. Bread is good.",
    "format-19": '{"min": 2, "max": 9, "sum": 15}',
    "format-20": "we sat down and ate our cold soup",
    "format-21": "name,qty\nnails,40\nbolts,12",
    "format-22": '{"a": {"x": 1}, "b": []}',
    "format-23": "Drink warm black tonic daily.",
    "format-24": "a to sea fish ocean lagoon",
}


def test_there_are_enough_of_every_kind_and_difficulty() -> None:
    assert len(ITEMS) >= 220
    kinds = Counter(each.kind for each in ITEMS.values())
    assert len(kinds) == 11
    assert min(kinds.values()) >= 20
    assert {each.difficulty for each in ITEMS.values()} == {1, 2, 3, 4, 5}
    assert {each.check for each in ITEMS.values()} == set(Check)


def test_easier_prompts_of_a_kind_come_first() -> None:
    for kind in {each.kind for each in ITEMS.values()}:
        difficulties = [each.difficulty for each in ITEMS.values() if each.kind == kind]
        assert difficulties == sorted(difficulties)


def test_letters_of_choices_are_even() -> None:
    letters = Counter(each.expected[0] for each in ITEMS.values() if each.kind == "choice")
    assert letters.keys() == set("ABCD")
    assert max(letters.values()) - min(letters.values()) <= 2


@pytest.mark.parametrize("name", TRUTHS)
def test_a_computed_answer_is_right_and_another_is_not(name: str) -> None:
    truth = TRUTHS[name]
    said = ", ".join(map(str, cast("list[object]", truth))) if isinstance(truth, list) else str(truth)
    assert is_right(ITEMS[name], said)
    assert not is_right(ITEMS[name], f"{said}1")


@pytest.mark.parametrize("name", [each.id for each in ITEMS.values() if each.kind == "code"])
def test_a_program_prints_what_is_expected_of_it(name: str) -> None:
    program = PROGRAM.search(ITEMS[name].prompt)
    assert program is not None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program[1], {})
    assert is_right(ITEMS[name], printed.getvalue())


@pytest.mark.parametrize("name", FORMATTED)
def test_an_answer_in_the_wanted_form_is_right_and_prose_is_not(name: str) -> None:
    assert is_right(ITEMS[name], FORMATTED[name])
    assert not is_right(ITEMS[name], f"Sure! Here you are:\n\n{FORMATTED[name]}\nANYTHING else?")


def test_every_expected_text_passes_its_own_check() -> None:
    for each in ITEMS.values():
        if each.check in {Check.EQUALS, Check.NUMBER, Check.ONE_OF}:
            assert all(is_right(each, text) for text in each.expected), each.id
        elif each.check is Check.CONTAINS:
            assert is_right(each, f"It is {' and '.join(each.expected)}."), each.id


def test_no_answer_passes_by_silence_or_echo() -> None:
    for each in ITEMS.values():
        assert not is_right(each, ""), each.id
        assert not is_right(each, each.prompt), each.id
