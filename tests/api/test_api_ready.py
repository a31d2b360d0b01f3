"""A list that was written before is sent again as it is, and never after anything has changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api import ready
from api.ready import Moment, Ready
from tests.api.api_world import TOWNS, client_of, firm_rows, write_firms
from tests.desk_world import keep_model, wait_for
from zyz_match.domain import Stage
from zyz_match.profiles import town_from
from zyz_match.service import Service, State
from zyz_match.settings import Settings, load_settings
from zyz_match.storage.registry import MODEL
from zyz_match.storage.store import Store, Versions

MATCHES = "/v1/towns/syn-casting/matches"
ASKED: dict[str, Any] = {"limit": 50, "include": "reasons"}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return load_settings({"ZYZ_HOME": str(tmp_path), "ZYZ_DATABASE_URL": database_url})


@contextmanager
def opened(settings: Settings) -> Iterator[Service]:
    """A service of its own on the same store, as another process has it."""
    with Service(settings, Store.open(settings.database_url)) as service:
        yield service


@pytest.fixture
def other(settings: Settings) -> Iterator[Service]:
    with opened(settings) as service:
        service.import_firms(write_firms(settings.home / "合成企业.csv", firm_rows(24)))
        for town in TOWNS:
            service.put_town(town_from(town))
        yield service


@pytest.fixture
def client(settings: Settings, other: Service) -> Iterator[TestClient]:
    with client_of(settings) as client:
        yield client


def fetch(client: TestClient, **more: Any) -> Any:
    response = client.get(MATCHES, params=ASKED | more)
    assert response.status_code == 200, response.text
    return response.json()


def lists(service: Service) -> int:
    """How many lists have a receipt."""
    [(count,)] = service.store._database.glance("SELECT count(*) FROM shortlist")
    return int(count)


def ids(page: Any) -> list[str]:
    return [m["firm"]["firm_id"] for m in page["items"]]


# the same again ------------------------------------------------------------------------------


def test_the_same_list_again_is_the_same_to_the_byte_and_has_one_receipt(
    client: TestClient, other: Service
) -> None:
    first, again = (client.get(MATCHES, params=ASKED) for _ in range(2))
    assert first.content == again.content
    assert first.headers["content-type"] == again.headers["content-type"] == "application/json"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert lists(other) == 1
    assert other.receipt(again.json()["shortlist_id"]).via == "api"


def test_what_is_ready_is_not_for_another_host_or_method(client: TestClient) -> None:
    fetch(client)
    elsewhere = client.get(MATCHES, params=ASKED, headers={"Host": "evil.example"})
    assert elsewhere.status_code == 421
    assert client.post(MATCHES, params=ASKED, json={}).status_code == 405
    assert client.head(MATCHES, params=ASKED).status_code == 405


def test_another_question_is_another_list(client: TestClient, other: Service) -> None:
    whole = fetch(client)
    first = fetch(client, limit=5)
    second = fetch(client, limit=5, cursor=first["next_cursor"])
    assert ids(first) + ids(second) == ids(whole)[:10]
    assert {m["firm"]["province"] for m in fetch(client, province="浙江省")["items"]} == {"浙江省"}
    assert fetch(client, diversify=True)["next_cursor"] is None
    assert fetch(client, limit=5) == first
    assert fetch(client, limit=5, cursor=first["next_cursor"]) == second
    assert lists(other) == 5


def test_a_profile_sent_along_is_ranked_once(client: TestClient, other: Service) -> None:
    body = {"town": TOWNS[0], "limit": 5}
    first, again = (client.post("/v1/matches", json=body) for _ in range(2))
    assert first.content == again.content
    changed = client.post("/v1/matches", json=body | {"town": TOWNS[1]})
    assert changed.json()["town"] != first.json()["town"]
    assert lists(other) == 2


def test_a_new_day_has_a_receipt_of_its_own(
    client: TestClient, other: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(client)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Tomorrow":
            return cls(2999, 1, 1, tzinfo=tz)

    monkeypatch.setattr(ready, "datetime", Tomorrow)
    next_day = fetch(client)
    assert next_day == first | {"shortlist_id": next_day["shortlist_id"]}
    assert fetch(client) == next_day
    assert lists(other) == 2


def test_a_refusal_is_not_kept(client: TestClient, other: Service) -> None:
    path = "/v1/towns/later/matches"
    assert client.get(path).status_code == 404
    other.put_town(town_from({**TOWNS[0], "id": "later", "name": "合成后来镇"}))
    assert client.get(path).status_code == 200


# what another process changes ----------------------------------------------------------------


def a_town(other: Service, page: Any) -> None:
    other.put_town(town_from({**TOWNS[0], "products": ["真丝绸"]}))


def a_lead(other: Service, page: Any) -> None:
    other.record_outcome("syn-casting", ids(page)[0], Stage.CONTACTED, owner="合成某")


def an_import(other: Service, page: Any) -> None:
    path = other.settings.home / "更多.csv"
    other.import_firms(write_firms(path, firm_rows(4, first=100)))


def an_undo(other: Service, page: Any) -> None:
    other.undo(other.batches()[0].batch_id)


def an_event(other: Service, page: Any) -> None:
    other.record_event(ids(page)[0], date(2025, 5, 1), region="晋城市", industry="3391")


def a_firm_of_the_town(other: Service, page: Any) -> None:
    other.store.add_existing([("syn-casting", ids(page)[0])])


def a_model(other: Service, page: Any) -> None:
    version = keep_model(other, words=90.0)
    other.store.serving.promote(version, by="", note="", check=lambda: None)


CHANGES: dict[Callable[[Service, Any], None], Callable[[Any, Any], bool]] = {
    a_town: lambda old, new: ids(old) != ids(new),
    a_lead: lambda old, new: new["items"][0]["care_stage"] == "contacted",
    an_import: lambda old, new: new["total"] == old["total"] + 4,
    an_undo: lambda old, new: new["total"] == 0,
    an_event: lambda old, new: old["data"] != new["data"],
    a_firm_of_the_town: lambda old, new: ids(old)[0] not in ids(new),
    a_model: lambda old, new: old["model"] != new["model"],
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_request_sees_what_another_process_changed(
    client: TestClient, other: Service, change: Callable[[Service, Any], None]
) -> None:
    old = fetch(client)
    assert fetch(client) == old
    change(other, old)
    new = fetch(client)
    assert CHANGES[change](old, new)
    assert new["shortlist_id"] != old["shortlist_id"]
    assert fetch(client) == new
    assert lists(other) == 2


def test_a_model_that_serves_again_after_another_one_gives_its_list_again(
    client: TestClient, other: Service
) -> None:
    first = fetch(client)
    a_model(other, first)
    assert fetch(client)["model"] != first["model"]
    other.rollback()
    again = fetch(client)
    assert again == first | {"shortlist_id": again["shortlist_id"]}


def test_a_list_of_a_model_that_stands_in_is_not_kept(
    client: TestClient, other: Service, settings: Settings
) -> None:
    version = keep_model(other, words=90.0)
    path = settings.models / version / MODEL
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    other.store.serving.promote(version, by="", note="", check=lambda: None)
    assert fetch(client)["notes"]
    path.write_bytes(whole)
    assert fetch(client)["model"] == version


@pytest.mark.slow
def test_no_request_sees_what_was_before_a_change_that_has_ended(
    client: TestClient, other: Service
) -> None:
    path = "/v1/towns/turning/matches"

    def named(i: int) -> dict[str, Any]:
        return {**TOWNS[0], "id": "turning", "name": f"合成第{i}镇"}

    other.put_town(town_from(named(0)))
    done = False

    def read() -> None:
        while not done:
            assert client.get(path).status_code == 200

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read) for _ in range(4)]
        try:
            for i in range(1, 15):
                other.put_town(town_from(named(i)))
                assert client.get(path).json()["town"]["name"] == f"合成第{i}镇"
        finally:
            done = True
        for one in reading:
            one.result()


@pytest.mark.slow
def test_an_index_that_was_built_meanwhile_takes_over_from_the_one_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "late_from", 1)
    settings = load_settings({"ZYZ_HOME": str(tmp_path)})
    with opened(settings) as other:
        other.import_firms(write_firms(tmp_path / "合成企业.csv", firm_rows(24)))
        other.put_town(town_from(TOWNS[0]))
        with client_of(settings) as client:
            assert "~" not in fetch(client)["data"]
            an_import(other, None)
            assert "~" in fetch(client)["data"]
            wait_for(lambda: "~" not in fetch(client)["data"])
            assert lists(other) == 3


# what is kept --------------------------------------------------------------------------------


def moment(firms: str = "1", day: int = 1) -> Moment:
    return Moment(State(Versions(firms, "", "", "", ""), firms, "m"), date(2026, 1, day))


def test_answers_of_another_moment_are_forgotten() -> None:
    kept, now = Ready(), moment()
    kept.keep(now, "a", b"1")
    assert kept.get(now, "a") == b"1"
    for other in (moment("2"), moment(day=2)):
        assert kept.get(other, "a") is None
    kept.keep(moment("2"), "b", b"2")
    assert kept.get(now, "a") is None
    assert kept.get(moment("2"), "b") == b"2"


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    kept, now = Ready(most=3, most_bytes=10), moment()
    for asked in "abc":
        kept.keep(now, asked, b"123")
    assert kept.get(now, "a")
    kept.keep(now, "d", b"1")
    assert [bool(kept.get(now, asked)) for asked in "abcd"] == [True, False, True, True]
    kept.keep(now, "a", b"12345678")
    assert [bool(kept.get(now, asked)) for asked in "acd"] == [True, False, True]
    kept.keep(now, "e", b"12345678901")
    assert kept.get(now, "e") is None
