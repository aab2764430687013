"""Sets logging up: one line an entry on one stream, as JSON or for the eye, without prompts or secrets.

Our own lines go straight to the stream, which costs a fraction of the standard library's way; lines of libraries that
log through the standard library end on the same stream and look the same.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Literal, TextIO, TypeAlias

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from headrace.drivers.observability.patient import PatientStream
from headrace.drivers.observability.redaction import redact_entry

LogFormat: TypeAlias = Literal["json", "pretty"]
Logger: TypeAlias = FilteringBoundLogger

# Their debug lines carry headers and bodies.
QUIET_LIBRARIES = ("aiohttp", "alembic", "asyncio", "httpcore2", "httpx2", "sqlalchemy", "urllib3")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the log looks; `level` is a name of the standard library's levels in lower case."""

    format: LogFormat = "json"
    level: str = "info"


class _Line:
    """Writes one line at once; a stream that is closed or full loses the line and nothing else."""

    def __init__(self, stream: TextIO | PatientStream) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    log = debug = info = warning = error = critical = exception = msg


def open_log(settings: LogSettings, stream: TextIO | None = None) -> Logger:
    """Send all logging of this process to the stream (standard error when None) and return our own logger.

    Raises ValueError for an unknown level.
    """
    level = logging.getLevelNamesMapping().get(settings.level.upper())
    if level is None:
        raise ValueError(f'"{settings.level}" is no log level; use debug, info, warning or error')
    chosen = PatientStream(stream if stream is not None else sys.stderr)
    _catch_standard_logging(settings.format, level, chosen)
    return make_logger(settings, chosen)


def make_logger(settings: LogSettings, stream: TextIO | PatientStream) -> Logger:
    """Return a logger that writes to the stream; nothing is configured globally."""
    logger: Logger = structlog.wrap_logger(
        _Line(stream),
        processors=[structlog.processors.add_log_level, *_finish(settings.format)],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        context_class=dict,
    )
    return logger


def _catch_standard_logging(form: LogFormat, level: int, stream: TextIO | PatientStream) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, structlog.stdlib.add_log_level, *_finish(form)],
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    for old in tuple(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _finish(form: LogFormat) -> tuple[Processor, ...]:
    """Return the last steps; tracebacks become text before they are searched for secrets."""
    renderer: Processor = _render_json
    if form == "pretty":
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return (stamp, structlog.processors.format_exc_info, redact_entry, renderer)


def _render_json(_logger: WrappedLogger, _method: str, entry: EventDict) -> str:
    return msgspec.json.encode(entry).decode()
