"""Writes ended requests and attempts to the log, and passes events on to several observers."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from headrace.drivers.observability.logs import Logger
from headrace.ports.observer import AttemptEnd, Observer, RequestEnd

CALLER_FAULT, SERVER_FAULT = 400, 500
SLOW_SECONDS = 30.0


class LogObserver:
    """Logs what went wrong or took long, and at level debug everything: the ledger has the rest.

    A private detail stands here and nowhere else. What nobody will read is not put together.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._verbose = logger.is_enabled_for(logging.DEBUG)

    def request_ended(self, end: RequestEnd) -> None:
        """Log a failed or slow request, as an error when it was the platform's or the upstream's fault."""
        if not (self._verbose or end.status >= CALLER_FAULT or end.duration_seconds >= SLOW_SECONDS):
            return
        fields: dict[str, object] = {
            "request_id": end.request_id,
            "method": end.method,
            "route": end.route,
            "status": end.status,
            "duration_seconds": round(end.duration_seconds, 6),
        }
        optional = {"key_id": end.key_id, "model": end.model, "error_code": end.error_code, "detail": end.detail}
        fields.update({name: value for name, value in optional.items() if value is not None})
        if end.status >= SERVER_FAULT:
            self._logger.error("request", **fields)
        elif end.status >= CALLER_FAULT or end.duration_seconds >= SLOW_SECONDS:
            self._logger.info("request", **fields)
        else:
            self._logger.debug("request", **fields)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Log a failed attempt with its tokens and its money."""
        if not (self._verbose or end.error_code is not None):
            return
        fields: dict[str, object] = {
            "request_id": end.request_id,
            "attempt_id": end.attempt_id,
            "operation": end.operation,
            "model": end.model_id,
            "provider": end.provider,
            "ending": end.ending,
            "duration_seconds": round(end.duration_seconds, 6),
            "cost_nano_usd": end.cost_nano,
            "charge_nano_usd": end.charge_nano,
        }
        if end.credential is not None:
            fields["key_label"] = end.credential
        if end.first_event_seconds is not None:
            fields["first_event_seconds"] = round(end.first_event_seconds, 6)
        if end.error_code is not None:
            fields["error_code"] = end.error_code
        if end.usage is not None:
            fields["input_tokens"] = end.usage.input_total
            fields["output_tokens"] = end.usage.output_total
        if end.error_code is not None:
            self._logger.info("attempt", **fields)
        else:
            self._logger.debug("attempt", **fields)


class Observers:
    """Tells several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def request_ended(self, end: RequestEnd) -> None:
        """Tell all of an ended request."""
        for observer in self._observers:
            observer.request_ended(end)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Tell all of a resolved attempt."""
        for observer in self._observers:
            observer.attempt_ended(end)
