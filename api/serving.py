"""Runs the application in one process or several, until it is told to stop."""

import os
import shutil
import socket

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from api import logs
from api.limits import MAX_HEADER_BYTES, TimedProtocol
from api.main import create_app
from api.metrics import SHARED
from zyz_match.outputs import private_folder
from zyz_match.settings import Settings, load_settings

FINISH_SECONDS = 30  # for what is under way when the service is told to stop
IDLE_SECONDS = 15  # until a connection without a request is closed
HEALTH_SECONDS = 60  # a worker that starts on a busy machine is not dead
_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def application() -> FastAPI:
    """The application of one worker, by the settings in its environment."""
    settings = load_settings()
    logs.install(settings.log)
    return create_app(settings)


def run(settings: Settings, listening: socket.socket) -> None:
    """Serve on a socket; ends when what was under way is answered, or after FINISH_SECONDS."""
    logs.install(settings.log)
    os.environ.update(settings.environment)
    config = uvicorn.Config(
        "api.serving:application", factory=True, workers=settings.workers, loop="auto",
        http=TimedProtocol, ws="none", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=FINISH_SECONDS,
        timeout_worker_healthcheck=HEALTH_SECONDS, h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )  # fmt: skip
    if settings.workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
        return
    _share_processors(settings.workers)
    folder = settings.run / f"metrics-{os.getpid()}"
    private_folder(folder)
    os.environ[SHARED] = str(folder)
    try:
        Multiprocess(config, sockets=[listening]).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _share_processors(workers: int) -> None:
    """So many threads for each worker as there are processors for it."""
    own = max(1, (os.cpu_count() or 1) // workers)
    for name in _THREADS:
        os.environ.setdefault(name, str(own))
