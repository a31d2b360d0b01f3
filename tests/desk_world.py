"""A small store with a town and firms, whose worker trains as the test decides."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import fake_worker
from tests.worlds import TOWN, world
from zyz_match.matching.model import PRIOR, Model
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage.store import Store

CARD = {"format": 1, "leads_used": 7, "by_town": {"合成铸造专业镇": 7}, "limits": ["合成限度。"]}


class DeskService(Service):
    """The hall with the fake worker."""

    worker = fake_worker.COMMAND


@contextmanager
def open_desk(home: Path, database_url: str = "") -> Iterator[DeskService]:
    """The service of this home, filled on first use."""
    given = {"ZYZ_HOME": str(home)} | ({"ZYZ_DATABASE_URL": database_url} if database_url else {})
    settings = load_settings(given)
    with DeskService(settings, Store.open(settings.database_url)) as service:
        if not service.store.firm_count():
            firms = world()
            service.store.import_firms(firms, file_name="合成.csv", file_hash="合成")
            service.put_town(TOWN)
        yield service


def plan(service: Service, **entries: Any) -> None:
    """Decide what the next training does."""
    path = service.settings.home / "fake.json"
    path.write_text(json.dumps({"words": 40.0} | entries), "utf-8")


def attempts(service: Service) -> list[dict[str, Any]]:
    """What the trainings so far left behind."""
    path = service.settings.home / "attempts"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep_model(service: Service, **weights: float) -> str:
    """A kept version with these weights, as a training would keep it."""
    from zyz_match.models_desk import feature_schema

    about = {"job": "J", "schema": feature_schema(), "verdict": "合成结论。"}
    return service._models.save(Model(dict(PRIOR) | weights, ""), about, CARD)


def wait_for(holds: Callable[[], object], seconds: float = 200.0) -> None:
    """Wait until something holds; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)
