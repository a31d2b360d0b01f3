"""The commands about the database as a whole, the audit and contacts."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from zyz_match.storage.migrations import HEAD


@pytest.mark.sqlite
def test_an_upgrade_says_what_it_did(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert f"已是最新的结构版本 {HEAD}" in run_cli("db", "upgrade").out
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path / "新"))
    assert "已建好新的数据库" in run_cli("db", "upgrade").out


@pytest.mark.sqlite
def test_a_check_finds_a_sound_store_sound_and_a_tampered_one_not(run_cli: Cli, home: Path) -> None:
    done = run_cli("db", "check")
    assert done.code == 0, done.err
    for word in ("版本", "数据库文件", "表间引用", "审计链", "模型", "索引"):
        assert word in done.out
    with sqlite3.connect(home / "zyz.db") as connection:
        connection.execute("UPDATE audit SET actor = 'x' WHERE id = 2")
        connection.execute("UPDATE contact SET firm_id = 'none' WHERE rowid = 1")
    connection.close()
    done = run_cli("db", "check", "--json")
    assert done.code == 5
    faults = {f["what"] for f in done.json if f["fault"]}
    assert faults == {"审计链", "表间引用"}


@pytest.mark.sqlite
def test_a_check_of_a_damaged_file_tells_the_cure_and_looks_at_the_rest(
    run_cli: Cli, home: Path, tmp_path: Path
) -> None:
    saved, file = tmp_path / "备份.zyz", home / "zyz.db"
    assert run_cli("db", "backup", saved).code == 0
    connection = sqlite3.connect(file)
    query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'firm'"
    pages = connection.execute(query).fetchall()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with file.open("r+b") as opened:
        for (page,) in pages:
            opened.seek((page - 1) * size)
            opened.write(b"\xa5" * size)
    done = run_cli("db", "check", "--json")
    assert done.code == 5
    found = {f["what"]: f for f in done.json}
    assert {"版本", "模型", "索引"} <= set(found)
    told = "".join(f["fault"] for f in done.json)
    assert "已损坏" in told
    assert told.count("zyz-match db restore") == 1
    assert "数据库" in done.err
    done = run_cli("db", "check")
    assert done.code == 5
    assert "模型" in done.out
    for aside in home.glob("zyz.db*"):  # as it is told
        aside.rename(tmp_path / aside.name)
    assert run_cli("db", "restore", saved).code == 0
    assert run_cli("db", "check").code == 0


@pytest.mark.sqlite
def test_a_damage_that_stops_no_reading_is_told_with_the_cure(run_cli: Cli, home: Path) -> None:
    with (home / "zyz.db").open("r+b") as opened:
        opened.seek(36)  # how many pages are free
        opened.write(b"\0\0\0\x63")
    done = run_cli("db", "check", "--json")
    assert done.code == 5
    (fault,) = [f for f in done.json if f["fault"]]
    assert fault["what"] == "数据库文件"
    assert "zyz-match db restore" in fault["fault"]
    assert "审计链" in {f["what"] for f in done.json}


@pytest.mark.sqlite
def test_a_damaged_row_of_the_audit_is_shown_and_found(run_cli: Cli, home: Path) -> None:
    with sqlite3.connect(home / "zyz.db") as connection:
        connection.execute("UPDATE audit SET detail = '{oops' WHERE id = 2")
        connection.execute("UPDATE audit SET at = x'ff00' WHERE id = 3")
    connection.close()
    assert "damaged=True" in run_cli("audit").out
    rows = {r["id"]: r for r in run_cli("audit", "--json").json}
    assert rows[2]["detail"] == {"damaged": True}
    assert rows[3]["detail"]["damaged"]
    for command in (("audit", "--verify"), ("db", "check")):
        done = run_cli(*command)
        assert done.code == 5
        assert "第 2 条" in done.out + done.err


def test_a_backup_is_verified_and_restored_elsewhere(
    run_cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "备份 1.zyz"
    done = run_cli("db", "backup", file)
    assert "企业 36 家" in done.err
    assert "备份完好" in run_cli("db", "verify", file).out
    assert run_cli("db", "backup", file).code == 2
    assert run_cli("db", "restore", file).code == 2
    assert run_cli("db", "verify", tmp_path / "无").code == 2
    before = run_cli("rank", "syn-casting", "--json").json
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path / "别处"))
    done = run_cli("db", "restore", file)
    assert done.code == 0, done.err
    assert "已恢复" in done.out
    after = run_cli("rank", "syn-casting", "--json").json
    assert [m["firm"]["firm_id"] for m in after["matches"]] == [
        m["firm"]["firm_id"] for m in before["matches"]
    ]
    assert run_cli("db", "check").code == 0


def test_a_damaged_backup_is_named(run_cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "坏.zyz"
    run_cli("db", "backup", file, "--no-files")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    for command in ("verify", "restore"):
        done = run_cli("db", command, file)
        assert done.code == 2
        assert "坏.zyz" in done.err


def test_the_audit_shows_who_did_what(run_cli: Cli) -> None:
    run_cli("rank", "syn-casting", "-k", "3")
    (row,) = run_cli("audit", "-k", "1", "--json").json
    assert (row["action"], row["via"]) == ("list.see", "cli")
    assert "list.see" in run_cli("audit").out
    assert run_cli("audit", "--action", "town.put", "--json").json
    assert run_cli("audit", "--since", "2999-01-01", "--json").json == []
    assert run_cli("audit", "--since", "昨天").code == 2


def test_an_export_is_noted_with_where_it_went(run_cli: Cli, tmp_path: Path) -> None:
    run_cli("rank", "syn-casting", "--csv", tmp_path / "名单.csv", "--xlsx", tmp_path / "名单.xlsx")
    exports = run_cli("audit", "--action", "list.export", "--json").json
    assert {e["detail"]["to"] for e in exports} == {"csv", "xlsx"}
    run_cli("run", "--out", tmp_path / "out")
    assert len(run_cli("audit", "--action", "list.export", "--json").json) == len(exports) + 2


@pytest.mark.sqlite
def test_the_chain_is_verified_against_an_anchor(run_cli: Cli, home: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "封存.json"
    done = run_cli("audit", "--verify", "--anchor", anchor)
    assert "审计链完整" in done.out
    kept = json.loads(anchor.read_text())
    assert kept["id"] > 0
    with sqlite3.connect(home / "zyz.db") as connection:
        connection.execute("DELETE FROM audit WHERE id = ?", (kept["id"],))
    connection.close()
    assert run_cli("audit", "--verify").code == 0
    done = run_cli("audit", "--verify", "--anchor", anchor)
    assert done.code == 5
    assert "末尾缺少 1 条" in done.err
    assert json.loads(anchor.read_text()) == kept
    anchor.write_text("别的文件")
    assert run_cli("audit", "--verify", "--anchor", anchor).code == 2
    assert run_cli("audit", "--anchor", anchor).code == 2


def test_contacts_are_shown_erased_and_allowed_again(run_cli: Cli) -> None:
    firm = "600004"
    assert "13800000004" in run_cli("contacts", firm).out
    assert run_cli("contacts", firm, "--json").json[0]["kind"] == "phone"
    assert "已删除" in run_cli("contacts", firm, "--erase").out
    assert run_cli("contacts", firm, "--json").json == []
    assert "已重新允许" in run_cli("contacts", firm, "--allow").out
    assert run_cli("contacts", firm, "--allow", "--erase").code == 2
    actions = [r["action"] for r in run_cli("audit", "--json").json]
    assert {"contact.see", "contact.erase", "contact.allow"} <= set(actions)


def test_a_sweep_says_what_it_removed(run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "没有设置 ZYZ_CONTACT_DAYS" in run_cli("db", "sweep").out
    monkeypatch.setenv("ZYZ_CONTACT_DAYS", "30")
    assert "0 条" in run_cli("db", "sweep").out
    monkeypatch.setenv("ZYZ_CONTACT_DAYS", "-1")
    assert run_cli("db", "sweep").code == 2
