"""Files over the interface: jobs, previews, refused rows, the same file twice, undo."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.schemas_models import JobView
from api.schemas_upsert import BatchPage, BatchView, UndoView
from tests.api.api_world import client_of, code_of, firm_rows, make_world, write_firms
from zyz_match.acting import Actor, Role, acting
from zyz_match.errors import NotFoundError
from zyz_match.jobs_desk import JobDesk
from zyz_match.service import Service


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imports")


@pytest.fixture(scope="module")
def own(home: Path) -> Iterator[TestClient]:
    """A world whose jobs are done by `done` below, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "_start_worker", lambda self, kind: None)
        settings = replace(make_world(home, firm_rows(20)), max_upload=1_000_000)
        with client_of(settings) as client:
            yield client


def csv_of(folder: Path, first: int, count: int, spoilt: int = 0) -> bytes:
    rows = firm_rows(count, first=first)
    for row in rows[:spoilt]:
        row[4] = "昨天"
    return write_firms(folder / f"{first}.csv", rows).read_bytes()


def send(client: TestClient, content: bytes, name: str = "企业.csv", **params: Any) -> Any:
    given = {"kind": "firms", **params}
    return client.post("/v1/imports", params=given, files={"file": (name, content)})


def done(client: TestClient, response: Any) -> Any:
    """The job of an answer, once it is done."""
    assert response.status_code == 202, response.text
    JobView.model_validate_json(response.content)
    app: Any = client.app
    app.state.service.work("import")
    job = client.get(response.headers["location"])
    JobView.model_validate_json(job.content)
    return job.json()


def left(home: Path) -> list[str]:
    return sorted(p.name for p in (home / "uploads").iterdir() if p.is_dir())


def test_a_file_becomes_a_batch_that_can_be_undone(
    own: TestClient, tmp_path: Path, home: Path
) -> None:
    content = csv_of(tmp_path, 100, 5)
    job = done(own, send(own, content))
    assert (job["state"], job["error"]) == ("done", None)
    result = job["result"]
    assert (result["rows"], result["created"], result["rejected"]) == (5, 5, 0)
    assert {"header": "企业名称", "target": "name"} in result["columns"]
    assert left(home) == []
    again = done(own, send(own, content, "另一个名字.csv"))["result"]
    assert (again["batch"], again["repeated"]) == (result["batch"], True)
    page = own.get("/v1/imports", params={"limit": 1})
    BatchPage.model_validate_json(page.content)
    assert page.json()["items"][0]["id"] == result["batch"]
    batch = own.get(f"/v1/imports/{result['batch']}")
    BatchView.model_validate_json(batch.content)
    assert (batch.json()["file_name"], batch.json()["undone_at"]) == ("企业.csv", None)
    undone = own.post(f"/v1/imports/{result['batch']}:undo")
    UndoView.model_validate_json(undone.content)
    assert (undone.status_code, undone.json()["removed"]) == (200, 5)
    assert code_of(own.post(f"/v1/imports/{result['batch']}:undo"), 422) == "invalid_input"
    assert done(own, send(own, content))["result"]["created"] == 5


def test_a_preview_writes_nothing_and_shows_the_refused_rows(
    own: TestClient, tmp_path: Path
) -> None:
    before = own.get("/v1/healthz").json()
    job = done(own, send(own, csv_of(tmp_path, 200, 10, 1), dry_run=True))
    assert (job["dry_run"], job["result"]["rows"], job["result"]["rejected"]) == (True, 10, 1)
    assert job["result"]["batch"] is None
    after = own.get("/v1/healthz").json()
    assert (after["firms"], after["data"]) == (before["firms"], before["data"])
    rejects = own.get(f"/v1/jobs/{job['id']}/rejects")
    assert rejects.headers["content-type"] == "text/csv; charset=utf-8"
    assert rejects.content.startswith(b"\xef\xbb\xbf")
    assert "昨天" in rejects.text
    assert rejects.text.count("\r\n") == 2


def test_too_many_refused_rows_ask_for_confirmation(own: TestClient, tmp_path: Path) -> None:
    content = csv_of(tmp_path, 300, 10, 5)
    job = done(own, send(own, content))
    assert (job["state"], job["result"]["code"]) == ("failed", "needs_confirmation")
    assert (job["result"]["rows"], job["result"]["rejected"]) == (10, 5)
    assert "confirmed=true" in job["error"]
    assert "--yes" not in job["error"]
    assert own.get(f"/v1/jobs/{job['id']}/rejects").status_code == 200
    sure = done(own, send(own, content, confirmed=True))
    assert (sure["state"], sure["result"]["created"], sure["result"]["rejected"]) == ("done", 5, 5)


def test_the_whole_body_may_be_the_file(own: TestClient, tmp_path: Path) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-File-Name": "%E4%BC%81%E4%B8%9A.csv"}
    sent = own.post("/v1/imports?kind=firms", content=csv_of(tmp_path, 400, 3), headers=headers)
    assert done(own, sent)["result"]["file_name"] == "企业.csv"


def test_leads_events_and_towns_come_as_files_too(own: TestClient) -> None:
    leads = (
        "专业镇,企业,日期,结果\nsyn-silk,600005,2025-03-01,已接触\n哪里,600005,2025-03-01,已接触\n"
    )
    job = done(own, send(own, leads.encode(), "跟进.csv", kind="leads", confirmed=True))
    assert (job["result"]["created"], job["result"]["rejected"]) == (1, 1)
    events = "企业,日期,地区,金额（万元）\n600005,2025-03-01,晋城市,30\n"
    assert (
        done(own, send(own, events.encode(), "事件.csv", kind="events"))["result"]["created"] == 1
    )
    towns = '{"id": "syn-filed", "name": "合成文件专业镇"}\n'
    job = done(own, send(own, towns.encode(), "专业镇.jsonl", kind="towns"))
    assert (job["state"], job["result"]["created"]) == ("done", 1)
    assert own.get("/v1/towns/syn-filed").status_code == 200


def test_a_file_speaks_only_of_the_towns_of_who_sent_it(own: TestClient, tmp_path: Path) -> None:
    app: Any = own.app
    service: Service = app.state.service
    names = ("syn-silk", "syn-ceramics")
    folder = service.settings.uploads / "u-team"
    folder.mkdir(parents=True)
    rows = [f"{town},600010,2025-03-02,已接触" for town in names]
    path = folder / "镇.csv"
    path.write_text("\n".join(("专业镇,企业,日期,结果", *rows, "")), "utf-8")
    with acting(Actor("team", Role.TOWN, "api", frozenset({"syn-silk"}))):
        asked = service.import_job("leads", path, "d", dry_run=False, confirmed=True)
    service.work("import")
    result = service.job(asked.id).result
    assert result is not None
    assert (result["created"], result["rejected"]) == (1, 1)
    leads = own.get("/v1/leads", params={"firm": "600010"}).json()["items"]
    assert [e["town_id"] for e in leads] == ["syn-silk"]
    with acting(Actor("other", Role.TOWN, "api", frozenset({"syn-silk"}))):
        assert service.imports(None, 10) == []
        for look in (service.import_batch, service.undo):
            with pytest.raises(NotFoundError):
                look(result["batch"])
        with pytest.raises(NotFoundError):
            service.import_rejects(asked.id)


def test_a_file_that_is_none_fails_with_its_reason(own: TestClient) -> None:
    job = done(own, send(own, b"PK\x03\x04 no workbook", "坏.xlsx"))
    assert (job["state"], job["result"]["code"]) == ("failed", "invalid_file")
    assert "坏.xlsx" in job["error"]
    assert code_of(own.get(f"/v1/jobs/{job['id']}/rejects"), 404) == "not_found"


def test_the_same_file_that_still_waits_is_the_same_job(
    own: TestClient, tmp_path: Path, home: Path
) -> None:
    content = csv_of(tmp_path, 500, 3)
    first, again = send(own, content), send(own, content)
    other = send(own, csv_of(tmp_path, 510, 3))
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert len(left(home)) == 2
    assert done(own, first)["state"] == "done"
    assert done(own, other)["state"] == "done"
    assert left(home) == []


def test_a_key_stands_for_the_file(own: TestClient, tmp_path: Path, home: Path) -> None:
    content, headers = csv_of(tmp_path, 600, 3), {"Idempotency-Key": "file"}
    ask = {"params": {"kind": "firms"}, "headers": headers}
    first = own.post("/v1/imports", files={"file": ("a.csv", content)}, **ask)  # type: ignore[arg-type]
    done(own, first)
    again = own.post("/v1/imports", files={"file": ("a.csv", content)}, **ask)  # type: ignore[arg-type]
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    other = own.post("/v1/imports", files={"file": ("a.csv", b"x")}, **ask)  # type: ignore[arg-type]
    assert code_of(other, 422) == "idempotency_mismatch"
    assert left(home) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../../etc/passwd", "invalid_input"), ("a/b.csv", "invalid_input"),
        (".hidden", "invalid_input"), ("x" * 81, "invalid_input"), ("~a", "invalid_input"),
        ("a\\b", "invalid_input"),
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(
    own: TestClient, home: Path, name: str, code: str
) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-File-Name": name}
    response = own.post("/v1/imports?kind=firms", content=b"a", headers=headers)
    assert code_of(response, 422) == code
    assert left(home) == []


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("", b"x", 415, "unsupported_media_type"),
        ("multipart/form-data", b"x", 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=b", b"garbage", 400, "bad_request"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 422, "missing_file"),
        ("multipart/form-data; boundary=b", b"", 422, "missing_file"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--b--\r\n',
            422, "invalid_form",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n\r\n'
            b"--b--\r\n",
            422, "empty_file",
        ),
        ("application/octet-stream", b"x" * 1_000_001, 413, "body_too_large"),
        ("application/octet-stream", b"x" * 3_000_000, 413, "body_too_large"),
        ("application/octet-stream", b"", 422, "empty_file"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_file_is_refused_and_leaves_nothing(
    own: TestClient, home: Path, kind: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": kind, "X-File-Name": "a.csv"}
    response = own.post("/v1/imports?kind=firms", content=body, headers=headers)
    assert code_of(response, status) == code
    assert left(home) == []


@pytest.mark.parametrize("end", ["", "二公司", "\r\n", "\r\n--b", "\r\n--b-", "\r\n--b\r\n"])
def test_a_form_that_was_cut_is_refused_and_leaves_nothing(
    own: TestClient, home: Path, end: str
) -> None:
    form = (
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        f"企业名称\n合成被截一公司\n{end}"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = own.post("/v1/imports?kind=firms", content=form.encode(), headers=headers)
    assert code_of(response, 422) == "invalid_form"
    assert left(home) == []


@pytest.mark.parametrize("query", ["", "kind=people", "kind=firms&dry_run=maybe", "kind=firms&x=1"])
def test_a_doubtful_request_leaves_no_file(own: TestClient, home: Path, query: str) -> None:
    response = own.post(f"/v1/imports?{query}", files={"file": ("a.csv", b"a")})
    assert response.status_code == 422
    assert left(home) == []


@pytest.mark.parametrize("batch", ["0", "x", "-1", "99999", "1" * 20])
def test_an_unknown_batch_is_not_found(own: TestClient, batch: str) -> None:
    assert code_of(own.get(f"/v1/imports/{batch}"), 404) == "not_found"
    assert code_of(own.post(f"/v1/imports/{batch}:undo"), 404) == "not_found"


def test_pages_of_imports_together_are_all(own: TestClient, tmp_path: Path) -> None:
    for first in (700, 710, 720):
        done(own, send(own, csv_of(tmp_path, first, 2)))
    whole = own.get("/v1/imports", params={"limit": 200}).json()["items"]
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = own.get("/v1/imports", params={"limit": 2, **cursor}).json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == whole
    assert code_of(own.get("/v1/firms", params=cursor), 422) == "invalid_cursor"


def test_upserts_are_no_imports_but_can_be_undone(own: TestClient) -> None:
    body = {"items": [{"name": "合成撤销公司"}]}
    batch = own.post("/v1/firms:upsert", json=body).json()["batch"]
    assert batch not in [b["id"] for b in own.get("/v1/imports").json()["items"]]
    assert own.post(f"/v1/imports/{batch}:undo").json()["removed"] == 1


@pytest.mark.slow
def test_a_file_is_imported_by_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "_start_worker", JobDesk._start_worker)
    with client_of(make_world(tmp_path, firm_rows(20))) as client:
        sent = send(client, csv_of(tmp_path, 100, 5))
        deadline = time.monotonic() + 120
        while (job := client.get(sent.headers["location"]).json())["finished_at"] is None:
            assert time.monotonic() < deadline, job
            time.sleep(0.2)
        assert (job["state"], job["result"]["created"]) == ("done", 5)
        assert client.get("/v1/healthz").json()["firms"] == 25
