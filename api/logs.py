"""Logs: one line a request and one an event, as JSON or for a terminal; nothing about anybody.

A line about a request holds its id, the method, the template of the address (never the address
itself, which may name a firm), the status, how long it took and who asked. No query, no body.
"""

import logging
import sys

import orjson
import structlog
from structlog.types import EventDict, Processor

ACCESS = logging.getLogger("zyz_match.access")


def install(kind: str) -> None:
    """Let everything that this process logs go to stderr; `kind` is json, console or auto."""
    as_json = kind == "json" or (kind == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    last: Processor = (
        structlog.processors.JSONRenderer(serializer=_json) if as_json
        else structlog.dev.ConsoleRenderer(timestamp_key="time", colors=sys.stderr.isatty())
    )  # fmt: skip
    remove: Processor = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[_without_colours, remove, last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of others, such as a client that logs whole addresses
    for name in ("zyz_match", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _without_colours(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Drop the second text that uvicorn gives for terminals."""
    event.pop("color_message", None)
    return event
