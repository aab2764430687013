"""Which of a caller's headers pass: two names, one dialect, bounded and checked values."""

from __future__ import annotations

import pytest

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.wire.dialect_headers import MAX_VALUE_CHARS, passed_headers, untranslated_headers, upstream_headers

SENT = {
    b"anthropic-version": [b"2023-06-01"],
    b"anthropic-beta": [b"files-api-2025-04-14, b2", b"b3"],
    b"anthropic-dangerous-direct-browser-access": [b"true"],
    b"x-api-key": [b"hr_secret"],
}


def passed(**values: list[bytes]) -> tuple[tuple[str, str], ...]:
    sent = {**SENT, **{f"anthropic-{name}".encode(): value for name, value in values.items()}}
    return passed_headers(Dialect.MESSAGES, lambda name: sent.get(name, []))


def test_version_and_betas_pass_and_nothing_else() -> None:
    assert passed() == (("anthropic-version", "2023-06-01"), ("anthropic-beta", "files-api-2025-04-14,b2,b3"))


def test_what_was_not_sent_is_not_passed() -> None:
    assert passed(version=[], beta=[b" , "]) == ()
    assert passed(version=[b"2023-06-01", b"2023-06-01"], beta=[]) == (("anthropic-version", "2023-06-01"),)


@pytest.mark.parametrize("dialect", [Dialect.CHAT, Dialect.RESPONSES])
def test_other_dialects_pass_none(dialect: Dialect) -> None:
    assert passed_headers(dialect, lambda name: SENT.get(name, [])) == ()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("beta", [b"a b"]),
        ("beta", [b"a\tb"]),
        ("beta", ["ä".encode("latin-1")]),
        ("beta", [b"a;q=1"]),
        ("beta", [b"x" * 129]),
        ("beta", [b"b1,"] * (MAX_VALUE_CHARS // 4 + 1)),
        ("version", [b"2023-06-01, 2024-01-01"]),
        ("version", [b"2023-06-01", b"2024-01-01"]),
        ("version", [b"-1"]),
    ],
)
def test_a_value_of_another_form_is_refused(name: str, values: list[bytes]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        passed(**{name: values})
    assert caught.value.param == f"anthropic-{name}" and len(caught.value.message) < 250


def test_the_callers_replace_defaults_and_the_providers_replace_the_callers() -> None:
    default = (("anthropic-version", "1"),)
    assert upstream_headers(default, (), ()) == (default, ())
    assert upstream_headers(default, (), (("anthropic-version", "2"),)) == ((("anthropic-version", "2"),), ())
    fixed = (("anthropic-version", "3"), ("anthropic-beta", "b1, b2"))
    headers, dropped = upstream_headers(default, fixed, (("anthropic-version", "2"), ("anthropic-beta", "b2,b3")))
    assert dict(headers) == {"anthropic-version": "3", "anthropic-beta": "b1,b2,b3"} and dropped == ()


def test_a_beta_that_multiplies_the_price_does_not_pass() -> None:
    passed = (("anthropic-beta", "fast-mode-2026-02-01,context-1m-2025-08-07"),)
    headers, dropped = upstream_headers((), (), passed)
    assert headers == ()
    assert dropped == ("anthropic-beta.fast-mode-2026-02-01", "anthropic-beta.context-1m-2025-08-07")
    assert upstream_headers((), (("anthropic-beta", "fast-mode-2026-02-01"),), ())[0] != ()


def test_another_dialect_is_not_told_of_betas() -> None:
    assert untranslated_headers(passed()) == ("anthropic-beta",)
    assert untranslated_headers(passed(beta=[])) == ()
