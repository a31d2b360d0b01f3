"""The application with a receiver on its list and systems that may call it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.api.api_world import client_of
from zyz_match.delivering import Deliverer, DeliveryPace
from zyz_match.settings import Settings
from zyz_match.signing import shown
from zyz_match.targets import targets_of

QUICK = DeliveryPace(tick=0.05, lease=5.0, backoff=(0.1, 0.1, 0.1, 0.1))
WORD = "a-synthetic-word-0123456789"
STANDARD_SECRET = shown(bytes(range(32)))
SYSTEMS = """
systems:
  crm: {scheme: standard, secret_file: standard.secret}
  espo: {scheme: espocrm, secret_file: word.secret, map: espocrm}
  odoo: {scheme: token, secret_file: word.secret, map: odoo, stages: {"7": visited}}
  hub: {scheme: hubspot, secret_file: word.secret, url: "https://zyz.example/v1/hooks/hub"}
  git: {scheme: sha256, secret_file: word.secret, towns: [syn-silk]}
"""


def hooks_file(folder: Path, text: str = SYSTEMS) -> Path:
    """The file of the systems, with their secrets beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "standard.secret").write_text(STANDARD_SECRET + "\n", "utf-8")
    (folder / "word.secret").write_text(f"{'x' * 20}\n{WORD}\n", "utf-8")
    path = folder / "hooks.yaml"
    path.write_text(text, "utf-8")
    return path


@contextmanager
def hooked(world: Settings, folder: Path, targets: str = "") -> Iterator[TestClient]:
    """A client of the world's application, whose sender is quick."""
    settings = replace(world, targets=targets_of(targets), hooks=hooks_file(folder))
    usual, Deliverer.pace = Deliverer.pace, QUICK
    try:
        with client_of(settings) as client:
            yield client
    finally:
        Deliverer.pace = usual


def wait_for(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def first_firm(client: TestClient) -> str:
    """A firm of the world."""
    found: dict[str, Any] = client.get("/v1/towns/syn-silk/matches?limit=1").json()
    return str(found["items"][0]["firm"]["firm_id"])
