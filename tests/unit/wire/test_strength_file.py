"""Files of strengths: what is read and written, and what a wrong one is told."""

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.domain.strength import Strength
from headrace.wire.strength_file import read_strengths, strengths_text

MEASURED = Strength("small", -1.25, -1.5, -1.0, "checkable", "headrace routers calibrate", "2026-11-28", 260)
TOLD = Strength("openai/big", 1400.0, 1390.0, 1410.0, "arena", 'a "table"', "2026-11-01")


def problem(text: str) -> str:
    with pytest.raises(ConfigInvalid) as failure:
        read_strengths("strengths.toml", text.encode())
    return failure.value.message


def test_what_is_written_is_read_again() -> None:
    text = strengths_text((MEASURED, TOLD), "Measured here.")
    assert text.startswith('# Measured here.\n\n[[strength]]\nmodel = "small"\nvalue = -1.25\n')
    assert "read = 2026-11-28\nn = 260\n" in text
    assert read_strengths("strengths.toml", text.encode()) == (MEASURED, TOLD)


def test_a_file_may_be_empty() -> None:
    assert read_strengths("strengths.toml", b"") == ()
    assert read_strengths("strengths.toml", strengths_text((), "None.").encode()) == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value = -1.25", "value = 3", "3.0 is not between -1.5 and -1.0"),
        ("value = -1.25", "value = nan", "nan is not between"),
        ("low = -1.5", "low = -inf", "is not between -inf"),
        ("value = -1.25", 'value = "x"', "value: A number."),
        ("n = 260", "n = 0", "at least 1"),
        ("n = 260", "m = 2", '"m" is not a key here'),
        ("read = 2026-11-28", "", '"read" is missing'),
        ('scale = "checkable"', 'scale = "elo"', "The scales are arena, aa-index, checkable, logit."),
    ],
)
def test_a_wrong_strength_is_told_with_its_line(old: str, new: str, told: str) -> None:
    text = strengths_text((MEASURED,), "x")
    assert old in text
    message = problem(text.replace(old, new))
    assert told in message
    assert "strengths.toml:" in message


def test_a_model_stands_once_on_a_scale() -> None:
    assert '"small" stands here a second time on the scale "checkable"' in problem(
        strengths_text((MEASURED, MEASURED), "x")
    )
