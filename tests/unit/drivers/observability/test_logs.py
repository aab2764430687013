"""Log lines: their shape, their levels, and what never stands in them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.domain.usage import Usage
from headrace.drivers.observability.log_observer import LogObserver, Observers
from headrace.drivers.observability.logs import LogSettings, make_logger, open_log
from headrace.ports.observer import AttemptEnd, RequestEnd
from tests.control_world import KeptEvents

KEY = "hr_0123456789ab_" + "Z" * 49
TOKEN = "hra_0123456789ab_" + "Y" * 49
REQUEST = RequestEnd("req_1", "POST", "/v1/embeddings", 200, 0.0123456789, "k1", "tiny")
USAGE = Usage(input_fresh=3, input_cache_read=4, output_text=9)
ATTEMPT = AttemptEnd("req_1", "att_1", "chat", "tiny", "here", "complete", None, 0.01, 0.02, USAGE, 1, 2)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Put the standard library's root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_of_json() -> None:
    stream = io.StringIO()
    LogObserver(make_logger(LogSettings(level="debug"), stream)).request_ended(REQUEST)
    (entry,) = entries(stream)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "request",
        "level": "debug",
        "request_id": "req_1",
        "method": "POST",
        "route": "/v1/embeddings",
        "status": 200,
        "duration_seconds": 0.012346,
        "key_id": "k1",
        "model": "tiny",
    }


def test_a_failure_of_ours_is_an_error_with_its_detail() -> None:
    stream = io.StringIO()
    end = RequestEnd("r", "GET", "/v2/me", 500, 0.1, error_code="internal_error", detail=f"KeyError('{KEY}')")
    LogObserver(make_logger(LogSettings(), stream)).request_ended(end)
    (entry,) = entries(stream)
    assert (entry["level"], entry["detail"]) == ("error", "KeyError('hr_0123456789ab_[hidden]')")


def test_an_attempt_that_went_well_is_a_debug_line() -> None:
    loud, quiet = io.StringIO(), io.StringIO()
    LogObserver(make_logger(LogSettings(level="debug"), loud)).attempt_ended(ATTEMPT)
    LogObserver(make_logger(LogSettings(), quiet)).attempt_ended(ATTEMPT)
    assert (entries(loud)[0]["charge_nano_usd"], quiet.getvalue()) == (2, "")
    assert (entries(loud)[0]["input_tokens"], entries(loud)[0]["output_tokens"]) == (7, 9)
    failed = AttemptEnd("r", "a", "chat", "m", "p", "voided", "upstream_tls", None, 0.1, None, 0, 0, "spare")
    LogObserver(make_logger(LogSettings(), quiet)).attempt_ended(failed)
    assert (entries(quiet)[0]["error_code"], entries(quiet)[0]["key_label"]) == ("upstream_tls", "spare")


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_secrets_and_prompts_do_not_reach_the_stream(form: str) -> None:
    stream = io.StringIO()
    logger = make_logger(LogSettings("json" if form == "json" else "pretty"), stream)
    try:
        raise ValueError(f"upstream said: bad key {TOKEN}")
    except ValueError:
        logger.exception("broke", header=f"Bearer {KEY}", url="https://user:pass@example.com/v1")
    logger.info(
        "nested",
        messages=[{"role": "user", "content": "a private prompt"}],
        about={"credential": "plain-credential", "parts": ["sk-proj-0123456789abcdef", 5, None, True]},
        object=OSError(f"connect with {KEY}"),
    )
    logger.warning("of others", signing="whsec_MfKQ9r8G/KYq+rTwj=", store="connect to host=db password=hunter2 user=x")
    text = stream.getvalue()
    assert "Traceback" in text
    for secret in (
        "ZZZZ",
        "YYYY",
        "user:pass",
        "private prompt",
        "plain-credential",
        "0123456789abcdef",
        "MfKQ9",
        "hunter2",
    ):
        assert secret not in text
    assert "hra_0123456789ab_[hidden]" in text


def test_lines_of_libraries_take_the_same_way() -> None:
    stream = io.StringIO()
    logger = open_log(LogSettings(), stream)
    logging.getLogger("some.library").warning("key %s of %d", KEY, 5)
    logging.getLogger("httpx2").info("a header that nobody needs")
    logger.debug("not at this level")
    logger.info("ours")
    first, second = entries(stream)
    assert (first["event"], first["level"]) == ("key hr_0123456789ab_[hidden] of 5", "warning")
    assert first["logger"] == "some.library"
    assert second["event"] == "ours"


def test_a_closed_stream_breaks_nothing() -> None:
    stream = io.StringIO()
    logger = make_logger(LogSettings(), stream)
    stream.close()
    logger.info("lost")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        open_log(LogSettings(level="loud"), io.StringIO())


def test_several_observers_hear_the_same() -> None:
    first, second = KeptEvents(), KeptEvents()
    both = Observers((first, second))
    both.request_ended(REQUEST)
    both.attempt_ended(ATTEMPT)
    assert first.requests == second.requests == [REQUEST]
    assert first.attempts == second.attempts == [ATTEMPT]
