"""Idempotency-Key: one effect, the first answer again, whatever happens in between."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.api_world import client_of, code_of, firm_rows, make_world
from zyz_match.errors import StorageError
from zyz_match.storage import idempotency
from zyz_match.storage.idempotency import Answers, Asked, InFlight, Kept, Lease, Mismatch
from zyz_match.storage.store import Store

LEAD = {"town_id": "syn-silk", "firm_id": "600005", "stage": "contacted", "date": "2025-03-01"}
REPLAYED = "idempotency-replayed"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(make_world(tmp_path_factory.mktemp("once"), firm_rows(20))) as client:
        yield client


def post(client: TestClient, key: str, path: str = "/v1/leads", **more: Any) -> Any:
    return client.post(path, json={**LEAD, **more}, headers={"Idempotency-Key": key})


def test_the_same_request_has_one_effect_and_one_answer(own: TestClient) -> None:
    first, again = post(own, "one"), post(own, "one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert own.post("/v1/leads", json=LEAD).json()["change"] == "unchanged"


def test_another_request_under_the_same_key_is_refused(own: TestClient) -> None:
    post(own, "two")
    assert code_of(post(own, "two", note="别的"), 422) == "idempotency_mismatch"
    assert code_of(post(own, "two", "/v1/events"), 422) == "idempotency_mismatch"


def test_a_refusal_is_given_again_with_the_id_of_the_present_request(own: TestClient) -> None:
    back = {"stage": "recommended", "date": "2999-04-01"}
    first, again = post(own, "bad", **back), post(own, "bad", **back)
    assert code_of(first, 422) == code_of(again, 422) == "invalid_input"
    assert again.headers[REPLAYED] == "true"
    assert first.json()["request_id"] != again.json()["request_id"]
    wrong = post(own, "wrong", colour="red")
    assert code_of(wrong, 422) == "validation_failed"
    assert post(own, "wrong", colour="red").headers[REPLAYED] == "true"


def test_an_accepted_job_is_not_asked_for_twice(
    own: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zyz_match.service.Service._start_worker", lambda self, kind: None)
    headers = {"Idempotency-Key": "train"}
    first = own.post("/v1/models:retrain", headers=headers)
    again = own.post("/v1/models:retrain", headers=headers)
    assert first.json() == again.json()
    assert again.headers["location"] == first.headers["location"]
    own.post(f"/v1/jobs/{first.json()['id']}:cancel")


@pytest.mark.parametrize("key", ["", "x" * 256, "é".encode(), b"a\xff", "a\tb"])
def test_a_key_that_is_none_is_refused(own: TestClient, key: str | bytes) -> None:
    headers: Any = {"Idempotency-Key": key}
    response = own.post("/v1/leads", json=LEAD, headers=headers)
    assert code_of(response, 422) == "invalid_idempotency_key"


def test_two_keys_at_once_are_refused(own: TestClient) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = own.post("/v1/leads", json=LEAD, headers=headers)
    assert code_of(response, 422) == "invalid_idempotency_key"


def test_the_longest_key_passes(own: TestClient) -> None:
    assert post(own, "~" * 255).status_code in (200, 201)


def test_a_get_does_not_look_at_keys(own: TestClient) -> None:
    assert own.get("/v1/towns", headers={"Idempotency-Key": "x" * 999}).status_code == 422
    assert own.get("/v1/towns", headers={"Idempotency-Key": "one"}).status_code == 200


def blocked(own: TestClient, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> Any:
    """A post that waits inside the service until something else was done."""
    entered, go_on = threading.Event(), threading.Event()
    record = Store.record_lead

    def slow(self: Store, entry: Any) -> Any:
        entered.set()
        assert go_on.wait(30)
        return record(self, entry)

    monkeypatch.setattr(Store, "record_lead", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, own, "flight", note="在途")
        assert entered.wait(30)
        try:
            then()
        finally:
            go_on.set()
        return first.result(60)


def test_while_it_is_being_answered_the_same_key_is_told_to_wait(
    own: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> None:
        response = post(own, "flight", note="在途")
        assert code_of(response, 409) == "idempotency_in_flight"
        assert int(response.headers["retry-after"]) >= 1
        assert code_of(post(own, "flight", note="别的"), 422) == "idempotency_mismatch"

    first = blocked(own, monkeypatch, again)
    assert first.status_code == 201
    assert post(own, "flight", note="在途").content == first.content


@pytest.mark.parametrize("error", [StorageError("磁盘已满。"), RuntimeError("合成的缺陷")])
def test_a_failure_of_ours_leaves_the_key_free(
    own: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(self: Store, entry: Any) -> Any:
        raise error

    key = type(error).__name__
    with monkeypatch.context() as patch:
        patch.setattr(Store, "record_lead", broken)
        assert post(own, key, note=key).status_code >= 500
    done = post(own, key, note=key)
    assert done.status_code == 201
    assert REPLAYED not in done.headers


def test_work_whose_answer_was_not_kept_is_recognised_when_it_is_sent_again(
    own: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill between the two, once the lease has run out."""
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.0)
    firm = {
        "items": [{"name": "合成中断公司", "external": {"system": "c", "object": "o", "id": "1"}}]
    }

    def lost(self: Answers, lease: Lease, answer: Kept) -> None:
        raise StorageError("磁盘已满。")

    def send() -> Any:
        headers = {"Idempotency-Key": "cut"}
        return own.post("/v1/firms:upsert", json=firm, headers=headers).json()["results"][0]

    with monkeypatch.context() as patch:
        patch.setattr(Answers, "finish", lost)
        assert send()["status"] == "created"
    again = send()
    assert (again["status"], again["id"]) == ("unchanged", "合成中断公司")
    assert (
        own.get("/v1/firms", params={"external": "c:o:1"}).json()["items"][0]["name"] == again["id"]
    )


def test_many_at_once_have_one_effect(own: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(own, "many", note="并发"), range(16)))
    made = [a for a in answers if a.status_code == 201]
    assert made
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.content for a in made}) == 1
    assert sum(REPLAYED not in a.headers for a in made) == 1


# in the store ------------------------------------------------------------------------------


@pytest.fixture
def answers(store: Store) -> Answers:
    return store.answers


def asked(key: str = "k", fingerprint: str = "f") -> Asked:
    return Asked("crm", key, fingerprint)


def test_an_answer_is_kept_by_caller_key_and_content(answers: Answers) -> None:
    lease = answers.begin(asked())
    assert isinstance(lease, Lease)
    assert isinstance(answers.begin(asked()), InFlight)
    answers.finish(lease, Kept(201, {"location": "/x"}, "{}"))
    assert answers.begin(asked()) == Kept(201, {"location": "/x"}, "{}")
    assert isinstance(answers.begin(asked(fingerprint="g")), Mismatch)
    assert isinstance(answers.begin(Asked("other", "k", "g")), Lease)


def test_a_lease_of_somebody_killed_runs_out_and_is_then_worth_nothing(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", -1.0)
    killed = answers.begin(asked())
    monkeypatch.undo()
    taken = answers.begin(asked())
    assert isinstance(killed, Lease)
    assert isinstance(taken, Lease)
    answers.finish(killed, Kept(200, {}, "late"))
    answers.give_up(killed)
    assert isinstance(answers.begin(asked()), InFlight)
    answers.finish(taken, Kept(200, {}, "mine"))
    assert answers.begin(asked()) == Kept(200, {}, "mine")


def test_what_is_old_is_swept_and_what_is_a_day_old_is_not(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("k", "l"):
        lease = answers.begin(asked(key))
        assert isinstance(lease, Lease)
        answers.finish(lease, Kept(200, {}, key))
    assert idempotency.KEPT.total_seconds() >= 24 * 3600
    monkeypatch.setattr(idempotency, "KEPT", idempotency.KEPT * 0)
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.0)
    answers._swept = 0.0
    monkeypatch.setattr(idempotency, "_text", lambda moment: f"9{moment.isoformat()}")
    assert isinstance(answers.begin(asked("k", "another")), Lease)


def test_one_of_many_processes_gets_the_lease(answers: Answers) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: answers.begin(asked("race")), range(24)))
    assert sum(isinstance(b, Lease) for b in begun) == 1
    assert sum(isinstance(b, InFlight) for b in begun) == 23
