"""Owns how a moment is written in our own fields: ISO-8601, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_time(unix_micros: int) -> str:
    """Return a moment like "2026-11-24T14:03:11.123456Z"."""
    moment = _EPOCH + timedelta(microseconds=unix_micros)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def iso_time_or_none(unix_micros: int | None) -> str | None:
    """Return a moment as text, or None when it did not come."""
    return None if unix_micros is None else iso_time(unix_micros)
