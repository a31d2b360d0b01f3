"""Webhooks through the interface, to a real receiver; signatures judged by standardwebhooks."""

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.testclient import TestClient

from api.schemas_hooks import (
    DeliveryPage,
    DeliveryView,
    ListPublishView,
    WebhookIssued,
    WebhookList,
    WebhookRemoved,
    WebhookTested,
    WebhookView,
)
from tests.api.api_world import code_of, firm_rows, make_world
from tests.api.hook_world import first_firm, hooked, wait_for
from tests.receiver import TAKEN, Receiver, receiver
from zyz_match.acting import Actor, Role, acting
from zyz_match.delivering import Deliverer
from zyz_match.errors import NotFoundError
from zyz_match.hooks_desk import KEY, TEST_TYPE
from zyz_match.service import Service
from zyz_match.settings import Settings
from zyz_match.storage.webhooks import MOST_SECRETS


@pytest.fixture(scope="module")
def firms(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_world(tmp_path_factory.mktemp("hooks"), firm_rows(20))


@pytest.fixture(scope="module")
def standing() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(scope="module")
def serving(
    firms: Settings, standing: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    with hooked(firms, tmp_path_factory.mktemp("systems"), standing.target) as client:
        yield client


@pytest.fixture
def taker(standing: Receiver) -> Receiver:
    """The receiver, as if nothing had come yet."""
    standing.decide = lambda body: TAKEN
    standing.log.clear()
    return standing


@pytest.fixture
def client(serving: TestClient, taker: Receiver) -> Iterator[TestClient]:
    yield serving
    for webhook in serving.get("/v1/webhooks").json()["items"]:
        serving.delete(f"/v1/webhooks/{webhook['id']}")
    deliverer: Deliverer = serving.app.state.deliverer  # type: ignore[attr-defined]
    wait_for(lambda: not deliverer._flying)


def add(client: TestClient, taker: Receiver, **more: Any) -> tuple[str, str]:
    """Id and secret of a new webhook."""
    made = client.post("/v1/webhooks", json={"url": taker.url, **more})
    assert made.status_code == 201, made.text
    WebhookIssued.model_validate_json(made.content)
    assert made.headers["location"] == f"/v1/webhooks/{made.json()['webhook']['id']}"
    return made.json()["webhook"]["id"], made.json()["secret"]


def publish(client: TestClient, town: str = "syn-silk") -> str:
    """The id of a list that was published just now."""
    query = {"limit": 3, "capital_max": time.monotonic_ns() / 1e6 + 1e6}  # asked for by nobody yet
    found = client.get(f"/v1/towns/{town}/matches", params=query)
    list_id: str = found.json()["shortlist_id"]
    done = client.post(f"/v1/lists/{list_id}:publish")
    ListPublishView.model_validate_json(done.content)
    assert done.json()["change"] == "published"
    return list_id


def deliveries(client: TestClient, webhook: str, **params: Any) -> list[dict[str, Any]]:
    found = client.get(f"/v1/webhooks/{webhook}/deliveries", params=params)
    DeliveryPage.model_validate_json(found.content)
    return list(found.json()["items"])


def newest(client: TestClient, webhook: str) -> dict[str, Any]:
    """The delivery of the newest change, once there is one."""
    found = deliveries(client, webhook)
    return found[0] if found else {"state": "", "tries": []}


def state_of(client: TestClient, webhook: str) -> dict[str, Any]:
    found = client.get(f"/v1/webhooks/{webhook}")
    WebhookView.model_validate_json(found.content)
    return dict(found.json())


def test_a_change_is_delivered_signed_as_the_standard_says(
    client: TestClient, taker: Receiver
) -> None:
    webhook, secret = add(client, taker)
    list_id = publish(client)
    wait_for(lambda: taker.log)
    [(headers, body, _)] = taker.log
    told = Webhook(secret).verify(body, headers)
    assert told["id"] == headers["webhook-id"]
    assert (told["type"], told["data"]["list_id"]) == ("list.published", list_id)
    assert headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"list", b"lisp"), headers)
    wait_for(lambda: newest(client, webhook)["state"] == "delivered")
    [delivery] = deliveries(client, webhook)
    assert (delivery["event"]["id"], delivery["attempts"]) == (told["id"], 1)
    assert [t["status"] for t in delivery["tries"]] == [204]


def test_publishing_twice_tells_once(client: TestClient, taker: Receiver) -> None:
    add(client, taker)
    list_id = publish(client)
    again = client.post(f"/v1/lists/{list_id}:publish")
    assert (again.status_code, again.json()["change"]) == (200, "unchanged")
    listed = client.get(f"/v1/lists/{list_id}").json()
    assert listed["published_at"] == again.json()["published_at"]
    wait_for(lambda: taker.log)
    time.sleep(0.3)
    assert len(taker.log) == 1
    assert code_of(client.post("/v1/lists/L0:publish"), 404) == "not_found"


def test_a_list_by_another_profile_than_the_towns_is_not_published(
    client: TestClient, taker: Receiver
) -> None:
    add(client, taker)
    made_up = {"town": {"id": "syn-silk", "name": "冒名", "products": ["水泵"]}}
    for body in (made_up, {"town": {**made_up["town"], "id": "syn-nowhere"}}):
        list_id = client.post("/v1/matches", json=body).json()["shortlist_id"]
        refused = client.post(f"/v1/lists/{list_id}:publish")
        assert code_of(refused, 422) == "invalid_input"
    time.sleep(0.3)
    assert taker.log == []


def test_a_secret_is_shown_once_and_is_nowhere_in_the_store(
    client: TestClient, taker: Receiver, firms: Settings
) -> None:
    webhook, secret = add(client, taker, note="市商务局")
    for path in ("/v1/webhooks", f"/v1/webhooks/{webhook}"):
        assert secret not in client.get(path).text
    listed = client.get("/v1/webhooks")
    WebhookList.model_validate_json(listed.content)
    assert listed.json()["items"][0]["note"] == "市商务局"
    for file in firms.home.glob("zyz.db*"):
        assert secret.encode() not in file.read_bytes()
    assert (firms.home / KEY).stat().st_mode & 0o777 == 0o600


def test_failures_are_tried_again_with_the_same_id_and_body(
    client: TestClient, taker: Receiver
) -> None:
    webhook, secret = add(client, taker)
    count = itertools.count()
    taker.decide = lambda body: TAKEN if next(count) >= 2 else (500, {}, b"no")
    publish(client)
    wait_for(lambda: len(taker.log) == 3)
    assert len({(h["webhook-id"], b) for h, b, _ in taker.log}) == 1
    for headers, body, _ in taker.log:
        Webhook(secret).verify(body, headers)
    wait_for(lambda: newest(client, webhook)["state"] == "delivered")
    tries = deliveries(client, webhook)[0]["tries"]
    assert [t["status"] for t in tries] == [500, 500, 204]
    assert tries[0]["error"] == "对方返回 500"
    assert state_of(client, webhook)["state"] == "ok"


def test_after_the_last_try_it_is_failed_and_can_be_sent_by_hand(
    client: TestClient, taker: Receiver
) -> None:
    webhook, _ = add(client, taker)
    taker.decide = lambda body: (404, {}, b"")
    publish(client)
    wait_for(lambda: [d["state"] for d in deliveries(client, webhook)] == ["failed"])
    assert len(taker.log) == 5
    shown = state_of(client, webhook)
    assert (shown["state"], shown["waiting"]) == ("failing", 0)
    assert shown["failing_since"]
    taker.decide = lambda body: TAKEN
    [failed] = deliveries(client, webhook)
    again = client.post(f"/v1/deliveries/{failed['id']}:redeliver")
    DeliveryView.model_validate_json(again.content)
    assert again.json()["state"] == "waiting"
    wait_for(lambda: newest(client, webhook)["state"] == "delivered")
    assert len({h["webhook-id"] for h, _, _ in taker.log}) == 1
    assert state_of(client, webhook)["state"] == "ok"


def test_the_order_of_a_subject_is_kept_while_others_go_ahead(
    client: TestClient, taker: Receiver
) -> None:
    add(client, taker, types=["lead.changed"])
    firm, other = first_firm(client), firm_of(client, 1)
    fails = itertools.count()
    taker.decide = lambda body: (
        (503, {}, b"") if body["data"]["firm_id"] == firm and next(fails) < 3 else TAKEN
    )
    record(client, firm, "contacted", "2024-05-01")
    record(client, firm, "visited", "2024-05-02")
    record(client, other, "contacted", "2024-05-01")
    wait_for(lambda: len(taker.bodies(204)) == 3)
    taken = [(b["data"]["firm_id"], b["data"]["stage"]) for b in taker.bodies(204)]
    assert [s for f, s in taken if f == firm] == ["contacted", "visited"]
    assert taken[0] == (other, "contacted")
    assert [b["data"]["stage"] for b in taker.bodies(503)] == ["contacted"] * 3


def firm_of(client: TestClient, place: int) -> str:
    found = client.get("/v1/towns/syn-silk/matches").json()["items"]
    return str(found[place]["firm"]["firm_id"])


def record(client: TestClient, firm: str, stage: str, day: str) -> None:
    body = {"town_id": "syn-silk", "firm_id": firm, "stage": stage, "date": day}
    assert client.post("/v1/leads", json=body).status_code == 201


def test_410_stops_it_until_somebody_enables_it(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker)
    taker.decide = lambda body: (410, {}, b"")
    publish(client)
    wait_for(lambda: state_of(client, webhook)["state"] == "disabled")
    assert "410" in state_of(client, webhook)["disabled_because"]
    taker.decide = lambda body: TAKEN
    publish(client)
    time.sleep(0.3)
    assert len(taker.log) == 1
    enabled = client.post(f"/v1/webhooks/{webhook}:enable")
    WebhookView.model_validate_json(enabled.content)
    wait_for(lambda: len(taker.bodies(204)) == 2)
    assert state_of(client, webhook)["state"] == "ok"


@pytest.mark.parametrize("as_date", [False, True])
def test_a_receiver_may_ask_for_time(client: TestClient, taker: Receiver, as_date: bool) -> None:
    webhook, _ = add(client, taker)
    when = datetime.fromtimestamp(time.time() + 3600, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    taker.decide = lambda body: (429, {"Retry-After": when if as_date else "3600"}, b"")
    publish(client)
    wait_for(lambda: newest(client, webhook)["tries"])
    wait_for(lambda: len(taker.log) == 1)
    next_at = datetime.fromisoformat(deliveries(client, webhook)[0]["next_at"])
    assert 3500 < (next_at - datetime.now(UTC)).total_seconds() <= 3601


def test_a_receiver_may_not_ask_for_more_than_a_day(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker)
    taker.decide = lambda body: (503, {"Retry-After": "99999999"}, b"")
    publish(client)
    wait_for(lambda: newest(client, webhook)["tries"])
    next_at = datetime.fromisoformat(deliveries(client, webhook)[0]["next_at"])
    assert (next_at - datetime.now(UTC)).total_seconds() <= 86_401


def test_a_redirect_is_not_followed(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker)
    taker.decide = lambda body: (302, {"Location": taker.url + "/elsewhere"}, b"")
    tested = client.post(f"/v1/webhooks/{webhook}:test")
    WebhookTested.model_validate_json(tested.content)
    assert (tested.json()["delivered"], tested.json()["status"]) == (False, 302)
    assert "不跟随转向" in tested.json()["error"]
    assert len(taker.log) == 1


def test_an_answer_without_end_is_cut(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker)
    taker.decide = lambda body: (200, {}, b"x" * 50_000_000)
    assert client.post(f"/v1/webhooks/{webhook}:test").json()["delivered"]


def test_a_test_message_is_signed_and_no_change(client: TestClient, taker: Receiver) -> None:
    webhook, secret = add(client, taker)
    end = client.get("/v1/changes?limit=200").json()
    done = client.post(f"/v1/webhooks/{webhook}:test").json()
    assert (done["delivered"], done["status"], done["error"]) == (True, 204, None)
    [(headers, body, _)] = taker.log
    assert Webhook(secret).verify(body, headers)["type"] == TEST_TYPE
    assert client.get("/v1/changes?limit=200").json()["items"] == end["items"]
    assert deliveries(client, webhook) == []


def test_a_new_secret_and_the_one_before_both_verify(client: TestClient, taker: Receiver) -> None:
    webhook, before = add(client, taker)
    turned = client.post(f"/v1/webhooks/{webhook}:rotate")
    WebhookIssued.model_validate_json(turned.content)
    assert turned.json()["webhook"]["rotating_until"]
    after = turned.json()["secret"]
    assert after != before
    client.post(f"/v1/webhooks/{webhook}:test")
    [(headers, body, _)] = taker.log
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (before, after):
        Webhook(secret).verify(body, headers)


def test_every_secret_before_verifies_until_its_own_time_is_over(
    client: TestClient, taker: Receiver
) -> None:
    webhook, first = add(client, taker)
    path = f"/v1/webhooks/{webhook}"
    secrets = [first, *(client.post(f"{path}:rotate").json()["secret"] for _ in range(2))]
    client.post(f"{path}:test")
    [(headers, body, _)] = taker.log
    assert len(headers["webhook-signature"].split(" ")) == 3
    for secret in secrets:
        Webhook(secret).verify(body, headers)
    secrets += [client.post(f"{path}:rotate").json()["secret"] for _ in range(2)]
    client.post(f"{path}:test")
    headers, body, _ = taker.log[1]
    assert len(headers["webhook-signature"].split(" ")) == MOST_SECRETS
    for secret in secrets[-MOST_SECRETS:]:
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(body, headers)


def test_another_key_than_the_one_before_is_noticed(
    client: TestClient, taker: Receiver, firms: Settings
) -> None:
    webhook, _ = add(client, taker)
    key = firms.home / KEY
    kept = key.read_bytes()
    key.write_bytes(b"another")
    try:
        refused = client.post(f"/v1/webhooks/{webhook}:test")
        assert code_of(refused, 503) == "storage_failed"
        assert KEY in refused.json()["detail"]
        assert taker.log == []
        turned = client.post(f"/v1/webhooks/{webhook}:rotate").json()["secret"]
        assert client.post(f"/v1/webhooks/{webhook}:test").json()["delivered"]
        Webhook(turned).verify(taker.log[0][1], taker.log[0][0])
    finally:
        key.write_bytes(kept)


def test_it_goes_only_where_the_administrator_allows(client: TestClient, taker: Receiver) -> None:
    elsewhere = (
        "http://127.0.0.1:9/", f"http://localhost:{taker.port}/", "https://example.com/",
        f"http://127.0.0.1:{taker.port}@example.com/", "http://[::1]:9/", "ftp://a/", "file:///etc",
        f"http://user:pass@127.0.0.1:{taker.port}/", f"http://127.0.0.1:{taker.port}/#x",
        f"http://127.0.0.1:{taker.port}\\@example.com/", "http:///", "//x", "x",
        f"http://127.0.0.1:{taker.port}/\r\nX-Evil: 1", f"http://127.1:{taker.port}/",
    )  # fmt: skip
    for url in elsewhere:
        refused = client.post("/v1/webhooks", json={"url": url})
        assert code_of(refused, 422) == "invalid_input", url
    webhook, _ = add(client, taker)
    moved = client.patch(f"/v1/webhooks/{webhook}", json={"url": "http://127.0.0.1:9/"})
    assert code_of(moved, 422) == "invalid_input"
    assert state_of(client, webhook)["url"] == taker.url


def test_a_target_that_was_taken_off_the_list_is_sent_nothing(
    firms: Settings, taker: Receiver, tmp_path: Path
) -> None:
    with hooked(firms, tmp_path / "a", taker.target) as client:
        webhook, _ = add(client, taker)
    with hooked(firms, tmp_path / "b") as client:
        tested = client.post(f"/v1/webhooks/{webhook}:test").json()
        client.delete(f"/v1/webhooks/{webhook}")
    assert not tested["delivered"]
    assert "ZYZ_WEBHOOK_TARGETS" in tested["error"]
    assert taker.log == []


def test_a_webhook_is_changed_paused_and_removed(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker, types=["lead.changed"], note="甲")
    changed = client.patch(f"/v1/webhooks/{webhook}", json={"types": [], "enabled": False})
    WebhookView.model_validate_json(changed.content)
    assert (changed.json()["types"], changed.json()["note"]) == ([], "甲")
    assert changed.json()["state"] == "disabled"
    publish(client)
    time.sleep(0.3)
    assert taker.log == []
    assert client.patch(f"/v1/webhooks/{webhook}", json={"enabled": True}).json()["state"] == "ok"
    wait_for(lambda: taker.log)
    gone = client.delete(f"/v1/webhooks/{webhook}")
    WebhookRemoved.model_validate_json(gone.content)
    for ask in (client.get, client.delete):
        assert code_of(ask(f"/v1/webhooks/{webhook}"), 404) == "not_found"
    assert code_of(client.post(f"/v1/webhooks/{webhook}:rotate"), 404) == "not_found"


def test_deliveries_are_paged(client: TestClient, taker: Receiver) -> None:
    webhook, _ = add(client, taker)
    lists = [publish(client) for _ in range(3)]
    wait_for(lambda: len(deliveries(client, webhook)) == 3)
    path = f"/v1/webhooks/{webhook}/deliveries"
    page = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"cursor": page["next_cursor"]}).json()
    found = [d["event"]["subject"] for d in (*page["items"], *rest["items"])]
    assert found == [f"list:{list_id}" for list_id in reversed(lists)]
    assert rest["next_cursor"] is None
    other, _ = add(client, taker)
    stale = client.get(f"/v1/webhooks/{other}/deliveries", params={"cursor": page["next_cursor"]})
    assert code_of(stale, 422) == "invalid_cursor"


@pytest.mark.parametrize("body", [
    {}, {"url": 1}, {"url": ""}, {"url": "x" * 2001}, {"types": ["lead.changed"]},
    {"url": "http://127.0.0.1:1/", "types": ["lead.gone"]}, {"url": "http://127.0.0.1:1/", "x": 1},
    {"url": "http://127.0.0.1:1/", "towns": []}, {"url": "http://127.0.0.1:1/", "note": "n" * 501},
])  # fmt: skip
def test_a_wrong_body_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert code_of(client.post("/v1/webhooks", json=body), 422) == "validation_failed"


def test_a_webhook_is_about_towns_that_are_there(client: TestClient, taker: Receiver) -> None:
    body = {"url": taker.url, "towns": ["syn-silk", "nope"]}
    refused = client.post("/v1/webhooks", json=body)
    assert code_of(refused, 404) == "not_found"
    assert "没有找到专业镇“nope”" in refused.json()["detail"]
    assert client.get("/v1/webhooks").json()["items"] == []
    webhook, _ = add(client, taker, towns=["syn-silk"])
    changed = client.patch(f"/v1/webhooks/{webhook}", json={"towns": ["nope"]})
    assert code_of(changed, 404) == "not_found"
    assert state_of(client, webhook)["towns"] == ["syn-silk"]


def test_a_system_limited_to_towns_sees_and_makes_webhooks_within_them(
    client: TestClient, taker: Receiver
) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    whole, _ = add(client, taker)
    with acting(Actor("key:crm", Role.CRM, "api", frozenset({"syn-silk"}))):
        assert service.webhooks() == []
        with pytest.raises(NotFoundError):
            service.webhook(whole)
        with pytest.raises(NotFoundError, match="syn-casting"):
            service.add_webhook(taker.url, [], ["syn-casting"], "")
        mine, _ = service.add_webhook(taker.url, [], None, "")
        assert mine.towns == ("syn-silk",)
        assert [w.id for w in service.webhooks()] == [mine.id]
        service.remove_webhook(mine.id)
