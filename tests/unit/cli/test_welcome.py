"""What serve says: the ready text, the drain, the goodbye."""

from __future__ import annotations

from pathlib import Path

from headrace.cli.welcome import Welcome, draining, goodbye, welcome
from headrace.domain.secret import Secret

HOME = Path("/somewhere/ann")
READY = Welcome("http://127.0.0.1:8080", HOME / ".headrace/credentials.json", model="smollm2-135m", home=HOME)
FIRST = Welcome(READY.base_url, READY.credentials, Secret("hr_7Kq2"), "smollm2-135m", home=HOME)


def test_the_first_start_has_a_request_to_paste() -> None:
    assert welcome(FIRST) == (
        "Headrace is ready.   http://127.0.0.1:8080   (API: /v1 and /v2)\n"
        "\n"
        "  curl http://127.0.0.1:8080/v1/chat/completions \\\n"
        '    -H "Authorization: Bearer hr_7Kq2" \\\n'
        '    -H "Content-Type: application/json" \\\n'
        '    -d \'{"model":"smollm2-135m","messages":[{"role":"user","content":"Hello!"}]}\'\n'
        "\n"
        '  Python   OpenAI(base_url="http://127.0.0.1:8080/v1",\n'
        '                  api_key="hr_7Kq2")\n'
        "\n"
        "  Key and admin token: ~/.headrace/credentials.json (only you can read it)\n"
        "  Next: headrace chat · headrace models --all · headrace doctor\n"
    )


def test_a_later_start_is_four_lines_and_has_no_key() -> None:
    assert welcome(READY) == (
        "Headrace is ready.   http://127.0.0.1:8080   (API: /v1 and /v2)\n"
        "  Key and admin token: ~/.headrace/credentials.json (only you can read it)\n"
        "  Next: headrace chat · headrace models --all · headrace doctor\n"
        "  Ctrl-C stops it; requests in flight are finished first\n"
    )


def test_tls_names_the_authority_and_curl_trusts_it() -> None:
    text = welcome(Welcome("https://127.0.0.1:8080", HOME / "c.json", Secret("hr_1"), "m", HOME / "tls/ca.pem", HOME))
    assert "    --cacert /somewhere/ann/tls/ca.pem \\\n" in text
    assert "  Clients must trust: ~/tls/ca.pem\n" in text


def test_without_a_model_the_way_to_one_is_shown() -> None:
    text = welcome(Welcome(READY.base_url, READY.credentials, home=HOME))
    assert "No model can be called yet" in text
    assert "headrace chat" not in text


def test_drain_and_goodbye() -> None:
    assert draining(0) == "Stopping.\n"
    assert draining(1) == "1 request in flight, finishing…\n"
    assert draining(2) == "2 requests in flight, finishing…\n"
    assert goodbye(0, 0) == "Goodbye. Nothing was served.\n"
    assert goodbye(2, 4772) == "Goodbye. 2 requests served, $0.000004772 spent.\n"
