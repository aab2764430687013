"""Prompts whose answers a machine can check, and checking one; asking a model is not done here.

Every check takes any text and says yes or no. Nothing of an answer is ever run or evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.json_value import JsonObject, JsonValue

LONGEST_ANSWER = 20_000


class Check(StrEnum):
    """How an answer is compared with what is expected.

    `equals`: it is one of the expected texts, letter by letter, quotation marks around it aside. `number`: its last
    number is the expected one. `contains`: every expected phrase is in it as whole words, in any case. `one_of`: its
    first or last line is one of the expected texts, in any case, whatever marks stand in and around it. `regex`: the
    whole of it fits one of the patterns. `json_keys`: it is a JSON object with exactly these keys; `KEY=JSON` also
    fixes a value.
    """

    EQUALS = "equals"
    NUMBER = "number"
    CONTAINS = "contains"
    ONE_OF = "one_of"
    REGEX = "regex"
    JSON_KEYS = "json_keys"


@dataclass(frozen=True, slots=True)
class Checkable:
    """A prompt with what its answer must be; `difficulty` from 1 to 5 is its writer's judgement."""

    id: str
    kind: str
    prompt: str
    check: Check
    expected: tuple[str, ...]
    difficulty: int


def is_right(item: Checkable, answer: str) -> bool:
    """Return whether an answer passes; thoughts in front of it and a code fence around it do not count."""
    if len(answer) > LONGEST_ANSWER:
        return False
    said = _unfenced(answer.rpartition("</think>")[2].strip())
    match item.check:
        case Check.EQUALS:
            return said in item.expected or said.strip(_QUOTES) in item.expected
        case Check.NUMBER:
            found = _NUMBER.findall(said)
            return bool(found) and _plain(found[-1]) in map(_plain, item.expected)
        case Check.CONTAINS:
            text = f" {bare(said)} "
            return all(f" {bare(each)} " in text for each in item.expected)
        case Check.ONE_OF:
            wanted = {bare(each) for each in item.expected}
            return not wanted.isdisjoint(_choices(said))
        case Check.REGEX:
            return any(re.fullmatch(pattern, said) is not None for pattern in item.expected)
        case _:
            return _has_keys(_object(said), item.expected)


def faults(item: Checkable) -> Iterator[str]:
    """Yield what makes an item useless: an expected value that no answer can pass, or that the prompt gives away."""
    for each in item.expected:
        match item.check:
            case Check.NUMBER if _NUMBER.fullmatch(each) is None:
                yield f'"{each}" is not a number'
            case Check.CONTAINS | Check.ONE_OF if not bare(each):
                yield f'"{each}" has no letter or digit'
            case Check.CONTAINS if f" {bare(each)} " in f" {bare(item.prompt)} ":
                yield f'"{each}" stands in the prompt: an echo would pass'
            case Check.EQUALS if each != _unfenced(each.strip()):
                yield f'"{each}" begins or ends with what is cut off an answer'
            case Check.REGEX if not _compiles(each):
                yield f'"{each}" is not a regular expression'
            case Check.JSON_KEYS if not _key_is_sound(each):
                yield f'"{each}" is not KEY or KEY=JSON'
            case _:
                pass


def bare(text: str) -> str:
    """Return the words of a text in lower case, one space between them, without any mark."""
    return _MARKS.sub(" ", text).strip().casefold()


_QUOTES = "\"'`*\u201c\u201d"
_MARKS = re.compile(r"[\W_]+")
_FENCED = re.compile(r"```[\w+-]*\n(.*?)\n?```", re.DOTALL)
# A digit of a word or of a power is none of ours, and a hyphen between digits is no sign.
_NUMBER = re.compile(r"(?<![\w^.])[-\u2212]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)", re.ASCII)
_LEAD = re.compile(r"(?:so )?(?:the )?(?:(?:correct|right|final) )?(?:answer|choice|option|result)(?: is)? ")
_ARTICLE = re.compile(r"(?:the|an?) (?=.)")


def _unfenced(text: str) -> str:
    fenced = _FENCED.fullmatch(text)
    return text if fenced is None else fenced[1]


def _plain(number: str) -> str:
    """Digits are compared as text: an answer may have more of them than an int is allowed to."""
    digits = number.replace(",", "").lstrip("-\u2212")
    whole, _, places = digits.partition(".")
    whole, places = whole.lstrip("0") or "0", places.rstrip("0")
    value = f"{whole}.{places}" if places else whole
    return value if digits == number.replace(",", "") or value == "0" else f"-{value}"


def _choices(text: str) -> Iterator[str]:
    """Each reading of an answer that should be one word or one choice."""
    lines = [each for each in map(bare, text.splitlines()) if each]
    for line in lines[:1] + lines[-1:]:
        said = _LEAD.sub("", line, count=1) if _LEAD.match(line) is not None else line
        yield line
        yield said
        yield _ARTICLE.sub("", said, count=1) if _ARTICLE.match(said) is not None else said


def _object(text: str) -> JsonObject | None:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _has_keys(found: JsonObject | None, expected: tuple[str, ...]) -> bool:
    if found is None:
        return False
    wanted = [each.partition("=") for each in expected]
    if found.keys() != {key for key, _, _ in wanted}:
        return False
    return all(not sign or _is_same(found[key], json.loads(value)) for key, sign, value in wanted)


def _is_same(left: JsonValue, right: JsonValue) -> bool:
    """True is no 1 here, but 3.0 is 3."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return left == right


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _key_is_sound(expected: str) -> bool:
    key, sign, value = expected.partition("=")
    if not sign:
        return bool(key)
    try:
        json.loads(value)
    except ValueError:
        return False
    return bool(key)
