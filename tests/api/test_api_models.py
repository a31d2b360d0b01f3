"""Models and jobs through the interface; the training itself is decided by the test."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.schemas import Health
from api.schemas_models import (
    JobList,
    JobView,
    ModelList,
    ModelView,
    ServingView,
    WatchView,
)  # fmt: skip
from tests.api.api_world import client_of, code_of, firm_rows, make_world
from tests.desk_world import wait_for
from tests.fake_worker import VERDICT, fake_retrain
from zyz_match.jobs_desk import Pace
from zyz_match.service import Service
from zyz_match.storage import registry


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A small world whose worker is a thread."""
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path))
    (tmp_path / "fake.json").write_text(json.dumps({"words": 60.0}))
    monkeypatch.setattr("zyz_match.matching.training.retrain", fake_retrain)
    monkeypatch.setattr(Service, "_ask_child", lambda self, version: self.check(version))
    monkeypatch.setattr(
        Service, "_start_worker",
        lambda self, kind: threading.Thread(target=self.work, args=(kind,), daemon=True).start(),
    )  # fmt: skip
    with client_of(make_world(tmp_path, firm_rows(20))) as client:
        yield client


def retrained(client: TestClient, **params: Any) -> dict[str, Any]:
    """The job of a training, once it has ended."""
    asked = client.post("/v1/models:retrain", params=params)
    assert asked.status_code == 202, asked.text
    JobView.model_validate_json(asked.content)
    place = asked.headers["location"]
    assert place == f"/v1/jobs/{asked.json()['id']}"
    wait_for(lambda: client.get(place).json()["finished_at"])
    found = client.get(place)
    JobView.model_validate_json(found.content)
    return dict(found.json())


def test_a_training_is_asked_for_followed_and_serves(client: TestClient) -> None:
    job = retrained(client)
    assert (job["state"], job["result"]["promoted"], job["dry_run"]) == ("done", True, False)
    version = job["result"]["version"]
    assert client.get("/v1/towns/syn-silk/matches").json()["model"] == version
    listed = client.get("/v1/models")
    ModelList.model_validate_json(listed.content)
    assert [m["version"] for m in listed.json()["items"]] == [version, "prior-1"]
    assert listed.json()["serving"]["version"] == version
    one = client.get(f"/v1/models/{version[-5:]}")
    ModelView.model_validate_json(one.content)
    assert (one.json()["verdict"], one.json()["card"]["leads_used"]) == (VERDICT, 7)
    jobs = client.get("/v1/jobs")
    JobList.model_validate_json(jobs.content)
    assert jobs.json()["items"] == [job]


def test_a_dry_run_answers_with_its_card(client: TestClient) -> None:
    job = retrained(client, dry_run=True)
    assert job["result"]["card"]["leads_used"] == 7
    assert [m["version"] for m in client.get("/v1/models").json()["items"]] == ["prior-1"]
    assert client.get("/v1/models/prior-1").json()["card"]["weights"]["words"] == 26.0


def test_a_version_is_rolled_back_and_promoted(client: TestClient) -> None:
    first = client.get("/v1/towns/syn-silk/matches?limit=5").json()["items"]
    version = retrained(client)["result"]["version"]
    back = client.post("/v1/models:rollback")
    ServingView.model_validate_json(back.content)
    assert (back.json()["version"], back.json()["previous"]) == ("prior-1", version)
    assert client.get("/v1/towns/syn-silk/matches?limit=5").json()["items"] == first
    again = client.post(f"/v1/models/{version}:promote")
    ServingView.model_validate_json(again.content)
    assert again.json()["version"] == version


def test_a_list_that_changes_its_model_between_pages_is_stale(client: TestClient) -> None:
    page = client.get("/v1/towns/syn-silk/matches", params={"limit": 2}).json()
    retrained(client)
    gone = client.get("/v1/towns/syn-silk/matches", params={"cursor": page["next_cursor"]})
    assert code_of(gone, 400) == "stale_cursor"


def test_unknown_and_damaged_versions_are_refused(client: TestClient, tmp_path: Path) -> None:
    assert code_of(client.post("/v1/models:rollback"), 404) == "not_found"
    assert code_of(client.post("/v1/models/nix:promote"), 404) == "not_found"
    assert code_of(client.get("/v1/models/nix"), 404) == "not_found"
    version = retrained(client)["result"]["version"]
    path = tmp_path / "models" / version / registry.MODEL
    path.write_bytes(path.read_bytes()[:-9])
    refused = client.post(f"/v1/models/{version}:promote")
    assert code_of(refused, 409) == "unusable_model"
    assert "zyz-match retrain" in refused.json()["detail"]
    health = client.get("/v1/healthz")
    Health.model_validate_json(health.content)
    assert (health.status_code, health.json()["model"]) == (200, "prior-1")
    assert "目前暂用模型 prior-1" in health.json()["model_note"]
    assert client.get("/v1/models").json()["serving"]["note"]


def test_jobs_are_cancelled_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Service, "_start_worker", lambda self, kind: None)
    job = client.post("/v1/models:retrain").json()
    assert client.post("/v1/models:retrain").json()["id"] == job["id"]
    for _ in range(2):
        assert client.post(f"/v1/jobs/{job['id']}:cancel").json()["state"] == "cancelled"
    assert code_of(client.post("/v1/jobs/nix:cancel"), 404) == "not_found"
    assert code_of(client.get("/v1/jobs/nix"), 404) == "not_found"
    assert code_of(client.post("/v1/models:retrain?dry_run=maybe"), 422) == "validation_failed"
    assert code_of(client.post("/v1/models:retrain?force=1"), 422) == "invalid_query"


def test_a_server_that_starts_sees_to_an_orphan(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    service.store.jobs.enqueue("retrain", {"dry_run": True, "by": ""})
    service.store.jobs.claim("retrain", "dead", 0.0)
    monkeypatch.setattr(Service, "pace", Pace(heartbeat=0.2, lease=1.0, tick=0.05))
    time.sleep(1.1)
    with client_of(service.settings) as other:
        [job] = other.get("/v1/jobs").json()["items"]
        wait_for(lambda: other.get(f"/v1/jobs/{job['id']}").json()["state"] == "done")


def test_what_was_shown_is_watched_by_town_and_model(client: TestClient) -> None:
    silk, casting = "/v1/towns/syn-silk/matches", "/v1/towns/syn-casting/matches"
    for path in (silk, f"{silk}?limit=5", silk, casting):  # the same list again shows nothing new
        client.get(path)
    version = retrained(client)["result"]["version"]
    client.get("/v1/towns/syn-silk/matches")
    found = client.get("/v1/watch")
    WatchView.model_validate_json(found.content)
    answer = found.json()
    assert {e["town_id"]: e["lists"] for e in answer["exposure"]} == {
        "syn-casting": 1, "syn-silk": 3,
    }  # fmt: skip
    assert answer["models"] == {"prior-1": 0.75, version: 0.25}
    assert sum(e["share"] for e in answer["exposure"]) == pytest.approx(1)
    assert "还不能比较模型" in answer["sufficiency"]
    assert answer["drifts"] == []
