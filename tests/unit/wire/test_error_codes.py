"""The generated table of stable codes."""

from __future__ import annotations

from headrace.wire.error_codes import STATUSES
from tools.error_codes import module_text, statuses_in

TABLE = """
| code | status | means | do |
|---|---|---|---|
| `late` | 502, 504 | slow | retry |
| `bad` | 400 | wrong | correct |
| `bad` | 404 | elsewhere | correct |
| `gone` | - | only in receipts | nothing |
| `broken_home` | exit 3 | the command line's | repair |
"""


def test_only_what_a_reply_carries_is_in_the_table() -> None:
    assert dict(statuses_in(TABLE)) == {"bad": (400, 404), "late": (502, 504)}
    assert '    "bad": (400, 404),\n' in module_text(TABLE)
    assert '    "x": (401,),\n' in module_text("| `x` | 401 | y |")


def test_the_package_has_the_codes_of_the_documents() -> None:
    assert STATUSES["model_not_found"] == (400, 404)
    assert "operator_error" not in STATUSES and "no_price" not in STATUSES
