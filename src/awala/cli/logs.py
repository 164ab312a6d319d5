# SPDX-License-Identifier: MIT
"""Log records on standard error, for people or for machines."""

from __future__ import annotations

import logging
import sys
from enum import Enum

SELF = "awala"


class LogFormat(Enum):
    """How log records are written."""

    CONSOLE = "console"
    JSON = "json"


def configure_logs(*, verbosity: int = 0, log_format: LogFormat = LogFormat.CONSOLE) -> None:
    """Send the records of all loggers to standard error through structlog.

    Args:
        verbosity: 0 = information from this package and warnings from libraries; 1 = details from
            this package, information from libraries; 2 and more = details from all.
        log_format: lines for people, or one JSON object per line.
    """
    import structlog  # noqa: PLC0415 - 40 ms that a command which only prints should not spend

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if log_format is LogFormat.JSON:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])
    logging.getLogger(SELF).setLevel((logging.INFO, logging.DEBUG)[min(verbosity, 1)])


def hush() -> None:
    """Log warnings alone: for a command that talks with a person on the same terminal."""
    logging.getLogger(SELF).setLevel(logging.WARNING)
