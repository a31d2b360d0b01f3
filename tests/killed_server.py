"""The real server on a socket that outlives it: killed at any moment, it is there again at once.

Run as a program: HOME_FOLDER DATABASE_URL. It opens a port, says which, and keeps a fork of itself
serving on it; the process id of each fork is a line of its output. All of them go with the parent.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys

import uvicorn

import api.main
from api.main import create_app
from zyz_match.index_desk import IndexDesk
from zyz_match.settings import Settings, load_settings
from zyz_match.storage import idempotency

LEASE_SECONDS = 1.0  # a minute would be waited for after every kill


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve until killed."""
    die_with_parent()
    config = uvicorn.Config(create_app(settings), log_level="critical", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
    os._exit(0)


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main(home: str, database_url: str) -> None:
    """Serve, and again after every death."""
    die_with_parent()
    settings = load_settings({"ZYZ_HOME": home, "ZYZ_DATABASE_URL": database_url})
    vars(api.main)["warm_up"] = lambda service: None
    IndexDesk.worker = (sys.executable, "-c", "")
    idempotency.LEASE_SECONDS = LEASE_SECONDS
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    say(listening.getsockname()[1])
    while True:
        if not (child := os.fork()):
            serve(settings, listening)
        say(child)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
