"""Dies at every step of saving and promoting in turn, and looks what a restart finds.

Run as a program: HOME_FOLDER DATABASE_URL. Each step is tried in a fork of its own, so that nothing
of the process before it survives; prints how many steps there were.
"""

import itertools
import os
import shutil
import sys
from pathlib import Path

import joblib
import sqlalchemy as sa

from tests.fake_worker import VERDICT
from tests.storage.countdown import WRONG, Countdown, in_a_fork
from zyz_match.jobs_desk import JobDesk, Pace
from zyz_match.matching.model import PRIOR, Model
from zyz_match.matching.training import Retrained
from zyz_match.service import Service
from zyz_match.settings import Settings, load_settings
from zyz_match.storage.store import Store

STEPS = ((os, "fsync"), (joblib, "dump"), (shutil, "rmtree"), (Path, "mkdir"), (Path, "rename"),
         (Path, "write_bytes"), (Path, "write_text"), (sa.engine.RootTransaction, "_do_commit"),
         )  # fmt: skip


def open_service(settings: Settings) -> Service:
    """A service that trains at once, loads models itself and takes over without waiting."""
    JobDesk.pace = Pace(heartbeat=3600.0, lease=-1.0, tick=0.01)
    JobDesk._start_worker = lambda self, kind: None  # type: ignore[method-assign]
    JobDesk._canary = lambda self, version, _m: self._load_anew(version)  # type: ignore
    JobDesk._fit = lambda self, step: Retrained(  # type: ignore[method-assign]
        Model(dict(PRIOR), ""), True, VERDICT, {"format": 1}
    )
    return Service(settings, Store.open(settings.database_url))


def work_until_death(settings: Settings, steps: int) -> None:
    """One training from asking to rollback, cut off after some steps."""
    service = open_service(settings)
    Countdown(steps).arm(STEPS)
    service.retrain_job()
    service.work()
    service.rollback()
    service.close()


def look_around(settings: Settings) -> None:
    """What must hold after a crash, and after the next process has seen to what it left."""
    with open_service(settings) as service:
        service._load(service.store.serving.current().version)
        assert service.model_note() == ""
        service.jobs()
        service.work()
        assert all(job.ended for job in service.jobs())
        service._models.sweep()
        service._load(service.store.serving.current().version)
        done = [j.result["version"] for j in service.jobs() if j.result is not None]
        promoted = [e.version for e in service.store.serving.history() if e.action == "promote"]
        assert promoted[:9] == done[:9], (promoted, done)
        for version in service._models.versions():
            service._load_anew(version)
        assert not list(settings.home.rglob("*.aside-*"))
        assert not list(settings.models.glob(".aside-*"))


def main(home: str, database_url: str) -> int:
    """Sweep over all steps; 0 when each of them was survived."""
    settings = load_settings({"ZYZ_HOME": home, "ZYZ_DATABASE_URL": database_url})
    for steps in itertools.count(1):
        ended = in_a_fork(work_until_death, settings, steps)
        if ended == WRONG or in_a_fork(look_around, settings) != 0:
            return WRONG
        if ended == 0:
            sys.stdout.write(str(steps - 1))
            return 0
    return WRONG


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
