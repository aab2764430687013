"""The one tree of errors is stable: what each class fixes does not change by accident."""

import pytest

from headrace.domain import errors
from headrace.domain.errors import HeadraceError, OperatorError

STABLE = {
    "HeadraceError": ("internal_error", 500, "platform", False),
    "CallerError": ("invalid_request", 400, "caller", False),
    "InvalidRequest": ("invalid_request", 400, "caller", False),
    "Unauthenticated": ("invalid_api_key", 401, "caller", False),
    "PaymentRequired": ("insufficient_quota", 402, "caller", False),
    "Forbidden": ("forbidden", 403, "caller", False),
    "NotFound": ("not_found", 404, "caller", False),
    "MethodNotAllowed": ("method_not_allowed", 405, "caller", False),
    "Conflict": ("conflict", 409, "caller", False),
    "BodyTooLarge": ("body_too_large", 413, "caller", False),
    "UnsupportedMedia": ("unsupported_content_type", 415, "caller", False),
    "WrongHost": ("wrong_host", 421, "caller", False),
    "Unprocessable": ("unprocessable", 422, "caller", False),
    "RateLimited": ("rate_limit_exceeded", 429, "caller", True),
    "SlowRequest": ("request_timeout", 408, "caller", False),
    "HeadersTooLarge": ("headers_too_large", 431, "caller", False),
    "UpstreamError": ("upstream_error", 502, "upstream", True),
    "UpstreamRefused": ("upstream_refused", 400, "caller", False),
    "UpstreamAuthFailed": ("upstream_auth_failed", 502, "upstream", True),
    "UpstreamQuota": ("upstream_quota_exhausted", 502, "upstream", True),
    "UpstreamRateLimited": ("upstream_rate_limited", 429, "upstream", True),
    "UpstreamUnavailable": ("upstream_unavailable", 502, "upstream", True),
    "UpstreamResting": ("upstream_resting", 503, "upstream", True),
    "UpstreamTls": ("upstream_tls", 502, "upstream", True),
    "UpstreamTimeout": ("upstream_timeout", 504, "upstream", True),
    "UpstreamStalled": ("upstream_stalled", 504, "upstream", True),
    "UpstreamTruncated": ("upstream_truncated", 502, "upstream", True),
    "UpstreamProtocol": ("upstream_protocol", 502, "upstream", True),
    "UpstreamNonconforming": ("structured_output_invalid", 502, "upstream", True),
    "PlatformError": ("internal_error", 500, "platform", False),
    "InternalError": ("internal_error", 500, "platform", False),
    "MeteringUnavailable": ("metering_unavailable", 503, "platform", True),
    "EngineFailed": ("engine_unavailable", 503, "platform", True),
    "DeploymentAsleep": ("deployment_asleep", 503, "platform", True),
    "DriverUnusable": ("driver_unusable", 503, "platform", False),
    "ShuttingDown": ("shutting_down", 503, "platform", True),
    "Overloaded": ("overloaded", 503, "platform", True),
    "OperatorError": ("operator_error", 500, "platform", False),
    "ConfigInvalid": ("config_invalid", 500, "platform", False),
    "HomeUnusable": ("home_unusable", 500, "platform", False),
    "StoreUnusable": ("store_unusable", 500, "platform", False),
    "AddressInUse": ("address_in_use", 500, "platform", False),
}


def tree(root: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


ALL = [each for each in tree(HeadraceError) if each.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_code_status_fault_and_retry_are_stable(kind: type[HeadraceError]) -> None:
    error = kind("what was wrong")
    assert (error.code, error.status, error.fault, error.retryable) == STABLE[kind.__name__]
    assert error.message == str(error) == "what was wrong"
    assert (error.param, error.detail, error.retry_after_seconds, dict(error.extra)) == (None, None, None, {})


def test_the_table_and_the_drawing_name_the_whole_tree() -> None:
    assert {kind.__name__ for kind in ALL} == set(STABLE)
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in ALL)


def test_only_a_callers_own_fault_is_a_status_of_400() -> None:
    for kind in ALL:
        if kind.status < 500 and kind is not errors.UpstreamRateLimited:
            assert kind.fault == "caller", kind


def test_operator_errors_exit_differently() -> None:
    statuses = [kind.exit_status for kind in (OperatorError, *OperatorError.__subclasses__())]
    assert len(set(statuses)) == len(statuses)
    assert 0 not in statuses


def test_an_instance_may_say_more() -> None:
    error = errors.NotFound(
        "x", code="model_not_found", param="model", detail="d", retry_after_seconds=2, extra={"n": 1}
    )
    assert (error.code, error.param, error.detail, error.retry_after_seconds) == ("model_not_found", "model", "d", 2)
    assert error.extra == {"n": 1}
