"""Messages of other systems: their own signatures, kept before the answer, one effect each."""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from starlette.testclient import TestClient

from api.main import create_app
from api.schemas_hooks import MessagePage, MessageTaken, MessageView
from tests.api.api_world import code_of, firm_rows, make_world
from tests.api.hook_world import (
    STANDARD_SECRET,
    SYSTEMS,
    WORD,
    hooked,
    hooks_file,
    wait_for,
)
from zyz_match import inbound_desk
from zyz_match.crm_maps import MAPS, CrmMap, Step, read_systems, step_of
from zyz_match.errors import InputError
from zyz_match.settings import Settings
from zyz_match.storage.inbound import Inbox

Headers = dict[str, str]


@pytest.fixture(scope="module")
def firms(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_world(tmp_path_factory.mktemp("hooks"), firm_rows(20))


@pytest.fixture(scope="module")
def client(firms: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with hooked(firms, tmp_path_factory.mktemp("systems")) as client:
        yield client


def standard(body: bytes, message_id: str = "", at: datetime | None = None) -> Headers:
    """The headers of the standard, made by the independent package."""
    uid = message_id or f"msg_{hashlib.sha256(body).hexdigest()[:20]}"
    moment = (at or datetime.now(UTC)).replace(microsecond=0)
    signature = Webhook(STANDARD_SECRET).sign(uid, moment, body.decode())
    return {
        "webhook-id": uid, "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }  # fmt: skip


def digest(content: bytes) -> bytes:
    return hmac.new(WORD.encode(), content, hashlib.sha256).digest()


def espo_old(body: bytes) -> Headers:
    return {"X-Signature": base64.b64encode(b"64f0c2:" + digest(body)).decode()}


def espo_new(body: bytes) -> Headers:
    return {"Signature": base64.b64encode(b"64f0c2:" + digest(body).hex().encode()).decode()}


def hubspot(body: bytes, at: datetime | None = None) -> Headers:
    stamp = str(int((at or datetime.now(UTC)).timestamp() * 1000))
    content = b"POSThttps://zyz.example/v1/hooks/hub" + body + stamp.encode()
    return {
        "X-HubSpot-Request-Timestamp": stamp,
        "X-HubSpot-Signature-v3": base64.b64encode(digest(content)).decode(),
    }


def sha256(body: bytes) -> Headers:
    return {"X-Hub-Signature-256": f"sha256={digest(body).hex()}"}


SIGNERS: dict[str, tuple[str, Callable[[bytes], Headers]]] = {
    "standard": ("crm", standard), "espocrm 8": ("espo", espo_old), "espocrm 9": ("espo", espo_new),
    "hubspot": ("hub", hubspot), "sha256": ("git", sha256),
    "token": ("odoo", lambda body: {"X-Zyz-Token": WORD}),
}  # fmt: skip


def post(client: TestClient, system: str, value: Any, headers: Headers | None = None) -> Any:
    """Send a message; signed as the system does unless told otherwise."""
    body = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    signer = next(sign for name, sign in SIGNERS.values() if name == system)
    signed = signer(body) if headers is None else headers
    plain = {"Content-Type": "application/json"}
    return client.post(f"/v1/hooks/{system}", content=body, headers=plain | signed)


def done(client: TestClient, system: str, value: Any) -> dict[str, Any]:
    """A message that was taken, once it was applied."""
    taken = post(client, system, value)
    assert taken.status_code == 202, taken.text
    MessageTaken.model_validate_json(taken.content)
    wait_for(lambda: message(client, system, taken.json()["id"])["state"] != "waiting")
    return message(client, system, taken.json()["id"])


def message(client: TestClient, system: str, message_id: str) -> dict[str, Any]:
    found = client.get(f"/v1/hooks/{system}/messages?limit=200")
    MessagePage.model_validate_json(found.content)
    return next(m for m in found.json()["items"] if m["id"] == message_id)


def firm(client: TestClient, place: int) -> str:
    found = client.get("/v1/firms").json()["items"]
    return str(found[place]["firm_id"])


def leads(client: TestClient, firm_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/leads", params={"firm": firm_id}).json()["items"]
    return found


def entry(firm_id: str, stage: str = "contacted", **more: Any) -> dict[str, Any]:
    return {"town": "syn-silk", "firm": firm_id, "stage": stage, "date": "2024-05-01", **more}


# signatures --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNERS)
def test_a_signed_message_is_taken_and_no_other(client: TestClient, name: str) -> None:
    system, sign = SIGNERS[name]
    body = json.dumps({"items": [], "name": name}).encode()
    assert post(client, system, body, sign(body)).status_code == 202
    other = body.replace(b"items", b"itemz")
    wrong = {"X-Zyz-Token": WORD[:-1]} if name == "token" else sign(body)
    assert code_of(post(client, system, other, wrong), 401) == "invalid_signature"
    assert code_of(post(client, system, body, {}), 401) == "invalid_signature"
    for header, text in sign(body).items():
        broken = sign(body) | {header: text[:-3] + ("AAA" if text[-3:] != "AAA" else "BBB")}
        assert code_of(post(client, system, body, broken), 401) == "invalid_signature"


@pytest.mark.parametrize("sign", [standard, hubspot])
def test_a_message_that_comes_too_late_or_too_early_is_refused(
    client: TestClient, sign: Callable[..., Headers]
) -> None:
    system = "crm" if sign is standard else "hub"
    body = b'{"items": [], "late": true}'
    for minutes in (-6, 6):
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        late = sign(body, at=at)
        refused = post(client, system, body, late)
        assert code_of(refused, 401) == "invalid_signature"
        assert "5 分钟" in refused.json()["detail"]
    assert post(client, system, body, sign(body, at=datetime.now(UTC))).status_code == 202


def test_a_word_in_the_address_will_do_where_headers_cannot_be_set(client: TestClient) -> None:
    body = {"_id": 1, "_model": "crm.lead"}
    assert client.post("/v1/hooks/odoo", params={"token": WORD}, json=body).status_code == 202
    for token in ("", "x", WORD + "x"):
        refused = client.post("/v1/hooks/odoo", params={"token": token}, json=body)
        assert code_of(refused, 401) == "invalid_signature"


@pytest.mark.parametrize(("header", "text"), [
    ("webhook-timestamp", "nan"), ("webhook-timestamp", "1e400"), ("webhook-timestamp", ""),
    ("webhook-signature", "v2,AAAA"), ("webhook-signature", "v1,é"), ("webhook-id", ""),
])  # fmt: skip
def test_odd_headers_are_refused(client: TestClient, header: str, text: str) -> None:
    body = b'{"items": []}'
    odd = standard(body) | {header: text}
    sent: Any = {k: v.encode("latin-1") for k, v in odd.items()}
    assert code_of(client.post("/v1/hooks/crm", content=body, headers=sent), 401)


# kept, applied, once -----------------------------------------------------------------------


def test_a_message_becomes_entries(client: TestClient) -> None:
    firm_id = firm(client, 0)
    more = {"id": "4711", "owner": "合成甲", "reason": "物流运输", "note": "合成备注"}
    applied = done(client, "crm", {"items": [entry(firm_id, **more)]})
    assert applied["state"] == "done"
    [lead] = leads(client, firm_id)
    assert (lead["stage"], lead["date"], lead["owner"]) == ("contacted", "2024-05-01", "合成甲")
    assert (lead["reason"], lead["note"], lead["via"]) == ("logistics", "合成备注", "hook")
    assert applied["records"] == [
        {"index": 0, "change": "created", "lead_id": lead["id"], "reason": None}
    ]
    told = client.get("/v1/changes?types=lead.changed").json()["items"]
    assert [c["data"]["lead_id"] for c in told].count(lead["id"]) == 1


def test_the_same_message_again_has_no_second_effect(client: TestClient) -> None:
    firm_id = firm(client, 1)
    body = json.dumps({"items": [entry(firm_id)]}).encode()
    ids = {post(client, "crm", body, standard(body, "msg_again")).json()["id"] for _ in range(3)}
    assert ids == {"msg_again"}
    wait_for(lambda: leads(client, firm_id))
    other = json.dumps({"items": [entry(firm_id, "visited")]}).encode()
    again = post(client, "crm", other, standard(other, "msg_again"))
    assert again.json() == {"id": "msg_again", "state": "done"}
    assert len(leads(client, firm_id)) == 1


def test_where_no_id_is_signed_the_same_body_is_the_same_message(client: TestClient) -> None:
    records = [
        {"id": "a1", "cZyzTownId": "syn-silk", "cZyzFirmId": firm(client, 2), "status": "New"}
    ]
    first, again = (post(client, "espo", records).json()["id"] for _ in range(2))
    assert first == again


def test_what_cannot_be_kept_is_not_answered_with_success(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        from zyz_match.errors import StorageError

        raise StorageError("磁盘已满。")

    monkeypatch.setattr(Inbox, "keep", full)
    assert code_of(post(client, "crm", {"items": [], "full": 1}), 503) == "storage_failed"


def test_espocrm_records_are_known_by_their_id_after_the_first_time(client: TestClient) -> None:
    firm_id = firm(client, 3)
    created = {
        "id": "64f0c2", "cZyzTownId": "syn-silk", "cZyzFirmId": firm_id, "status": "Assigned",
        "modifiedAt": "2024-05-01 02:00:00", "assignedUserName": "合成乙", "phoneNumber": "1",
    }  # fmt: skip
    assert done(client, "espo", [created])["records"][0]["change"] == "created"
    updated = {"id": "64f0c2", "status": "In Process", "modifiedAt": "2024-05-03 02:00:00"}
    silent = {"id": "64f0c2", "description": "别的字段"}
    found = done(client, "espo", [updated, silent])
    assert [r["change"] for r in found["records"]] == ["created", "ignored"]
    assert [e["stage"] for e in leads(client, firm_id)] == ["negotiating", "contacted"]
    unknown = done(client, "espo", [{"id": "never", "status": "New"}])
    assert unknown["state"] == "refused"
    assert "没有写明专业镇" in unknown["records"][0]["reason"]


def test_a_lost_lead_of_odoo_is_the_one_that_is_not_active(client: TestClient) -> None:
    firm_id = firm(client, 4)
    record = {
        "_id": 31, "_model": "crm.lead", "_action": "通知(#9)", "id": 31, "stage_id": 7,
        "write_date": "2024-05-01 02:00:00", "active": True, "x_zyz_town_id": "syn-silk",
        "x_zyz_firm_id": firm_id, "user_id": 2,
    }  # fmt: skip
    assert done(client, "odoo", record)["state"] == "done"
    lost = record | {"active": False, "write_date": "2024-05-09 02:00:00"}
    assert done(client, "odoo", lost)["state"] == "done"
    assert [e["stage"] for e in leads(client, firm_id)] == ["lost", "visited"]


def test_a_refused_record_waits_for_what_it_lacks(client: TestClient) -> None:
    firm_id = firm(client, 5)
    refused = done(client, "crm", {"items": [entry(firm_id), entry("合成新厂有限公司")]})
    assert (refused["state"], [r["change"] for r in refused["records"]]) == (
        "refused", ["created", "refused"],
    )  # fmt: skip
    assert "合成新厂" in refused["records"][1]["reason"]
    listed = client.get("/v1/hooks/crm/messages?state=refused").json()["items"]
    assert refused["id"] in [m["id"] for m in listed]
    path = f"/v1/hooks/crm/messages/{refused['id']}:retry"
    assert client.post(path).json()["state"] == "refused"
    put = {"items": [{"name": "合成新厂有限公司"}]}
    assert client.post("/v1/firms:upsert", json=put).status_code == 200
    retried = client.post(path)
    MessageView.model_validate_json(retried.content)
    assert retried.json()["state"] == "done"
    assert [r["change"] for r in retried.json()["records"]] == ["unchanged", "created"]
    assert code_of(client.post(path), 422) == "invalid_input"


@pytest.mark.parametrize("record", [
    {"stage": "visited", "date": "soon"}, {"stage": "flying"}, {"stage": {"a": 1}}, "text", 7, None,
    {"stage": "visited", "date": "2999-01-01"}, {"stage": "visited", "note": "x" * 5000},
    {"stage": "visited", "list_id": "L0"}, {"stage": "visited", "town": "no-such-town"},
    {"stage": "visited", "id": "x" * 9000},
])  # fmt: skip
def test_a_record_that_makes_no_sense_is_refused_with_a_reason(
    client: TestClient, record: Any
) -> None:
    given = entry(firm(client, 6)) | record if isinstance(record, dict) else record
    found = done(client, "crm", {"items": [given]})
    assert (found["state"], found["records"][0]["change"]) == ("refused", "refused")
    assert found["records"][0]["reason"]


def test_a_record_that_breaks_the_program_holds_up_no_other(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, wanted = step_of, entry(firm(client, 8))

    def breaks(known: CrmMap, record: Any) -> Step:
        if record["note"] == "合成故障":
            raise RuntimeError("a bug")
        return real(known, record)

    monkeypatch.setattr(inbound_desk, "step_of", breaks)
    found = done(client, "crm", {"items": [wanted | {"note": "合成故障"}, wanted | {"note": ""}]})
    assert found["records"][0]["change"] == "refused"
    assert found["records"][1]["change"] in ("created", "unchanged")
    assert "RuntimeError" in found["records"][0]["reason"]


@pytest.mark.parametrize(("name", "moment", "day"), [
    ("odoo", "2026-11-26 23:30:00", date(2026, 11, 27)),  # UTC: in China it is tomorrow
    ("espocrm", "2026-11-26 15:59:59", date(2026, 11, 26)),
    ("zyz", "2026-11-26 23:30:00", date(2026, 11, 26)),
    ("zyz", "2026-11-26T23:30:00Z", date(2026, 11, 27)),
    ("zyz", "2026-11-26", date(2026, 11, 26)),
])  # fmt: skip
def test_a_day_is_that_of_china(name: str, moment: str, day: date) -> None:
    known = MAPS[name]
    assert step_of(known, {known.fields["date"]: moment}).date == day


def test_a_system_limited_to_towns_speaks_of_those_alone(client: TestClient) -> None:
    firm_id = firm(client, 7)
    elsewhere = entry(firm_id) | {"town": "syn-casting"}
    found = done(client, "git", {"items": [elsewhere, entry(firm_id)]})
    assert [r["change"] for r in found["records"]] == ["refused", "created"]


def test_too_many_records_are_refused_as_one(client: TestClient) -> None:
    found = done(client, "crm", {"items": [{}] * 201})
    assert found["state"] == "refused"
    assert "200" in found["records"][0]["reason"]


# bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "status", "code"), [
    (b"", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"\xff", 400, "invalid_encoding"),
    (b'{"a": NaN}', 422, "invalid_number"), (b'{"a": 1e400}', 422, "invalid_number"),
    (b'{"a": 1, "a": 2}', 422, "duplicate_key"), (b'"\\ud800"', 422, "invalid_text"),
    (b'"\\u0000"', 422, "invalid_text"), (b"[" * 40 + b"]" * 40, 422, "too_deep"),
    (b"[" + b" " * 1_000_000 + b"]", 413, "body_too_large"),
])  # fmt: skip
def test_a_signed_body_that_is_no_plain_json_is_not_kept(
    client: TestClient, body: bytes, status: int, code: str
) -> None:
    before = client.get("/v1/hooks/git/messages?limit=200").json()
    refused = post(client, "git", body)
    assert code_of(refused, status) == code
    assert client.get("/v1/hooks/git/messages?limit=200").json() == before


def test_an_unknown_system_or_message_is_not_found(client: TestClient) -> None:
    unknown = client.post("/v1/hooks/nix", json={})
    assert code_of(unknown, 404) == "not_found"
    assert code_of(client.get("/v1/hooks/nix/messages"), 404) == "not_found"
    assert code_of(client.post("/v1/hooks/crm/messages/nix:retry"), 404) == "not_found"
    assert code_of(client.post("/v1/hooks/crm?x=1", json={}), 422) == "invalid_query"


def test_messages_are_paged(client: TestClient) -> None:
    sent = [done(client, "hub", {"items": [], "n": n})["id"] for n in range(3)]
    page = client.get("/v1/hooks/hub/messages?limit=2").json()
    rest = client.get(
        "/v1/hooks/hub/messages", params={"limit": 2, "cursor": page["next_cursor"]}
    ).json()
    assert [m["id"] for m in (*page["items"], *rest["items"])][:3] == sent[::-1]
    other = client.get("/v1/hooks/crm/messages", params={"cursor": page["next_cursor"]})
    assert code_of(other, 422) == "invalid_cursor"


def test_nothing_of_a_message_reaches_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        done(client, "crm", {"items": [entry("合成绝密厂", owner="合成人名")]})
        post(client, "crm", {"items": ["合成绝密厂"]}, {})
    assert "合成绝密厂" not in caplog.text
    assert STANDARD_SECRET not in caplog.text


# the file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "why"), [
    ("", "只有一个键"), ("systems: {}", "至少有一个"), ("other: 1", "只有一个键"),
    ("systems: {crm: 1}", "键值表"), ("systems: {A: {scheme: token}}", "小写"),
    ("systems: {crm: {scheme: nix, secret_file: word.secret}}", "scheme"),
    ("systems: {crm: {scheme: token}}", "secret_file"),
    ("systems: {crm: {scheme: token, secret_file: nix}}", "无法读取"),
    ("systems: {crm: {scheme: standard, secret_file: word.secret}}", "whsec_"),
    ("systems: {crm: {scheme: hubspot, secret_file: word.secret}}", "url"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, colour: red}}", "colour"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, map: nix}}", "map"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, fields: {x: y}}}", "fields"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, stages: {a: b}}}", "不是可用的阶段"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, stages: 1}}", "键值表"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, object: 'a:b'}}", "冒号"),
    ("systems: {crm: {scheme: token, secret_file: word.secret, towns: syn-silk}}", "列表"),
])  # fmt: skip
def test_a_wrong_file_is_told_before_the_server_starts(
    firms: Settings, tmp_path: Path, text: str, why: str
) -> None:
    path = hooks_file(tmp_path / "wrong", text)
    with pytest.raises(InputError, match=why):
        create_app(replace(firms, hooks=path))


def test_a_system_has_its_own_fields_and_stages(tmp_path: Path) -> None:
    text = (
        "systems:\n  x:\n    scheme: token\n    secret_file: word.secret\n    map: espocrm\n"
        "    object: Deal\n    fields: {stage: cStage}\n    stages: {已上门: 已考察}\n"
    )
    known = read_systems(hooks_file(tmp_path / "own", text))["x"].map
    assert (known.object, known.fields["stage"], known.fields["id"]) == ("Deal", "cStage", "id")
    assert known.stages["已上门"] == "visited"
    assert set(read_systems(hooks_file(tmp_path / "all", SYSTEMS))) == {
        "crm", "espo", "odoo", "hub", "git",
    }  # fmt: skip
    assert read_systems(None) == {}
