import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import TOWNS, Cli, firm_rows, write_firms
from zyz_match.commands.data import looks_like_towns
from zyz_match.commands.row_imports import masked


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """Five new firms, one known, one twice, one without a name."""
    rows = firm_rows(42)[35:42]
    rows = [*rows, rows[-1], ["", *rows[-1][1:]]]
    rows[1][0] = "合成新来00有限公司"
    rows[-1][1] = ""
    return write_firms(tmp_path / "新 企业.csv", rows)


def test_a_dry_run_shows_the_mapping_and_changes_nothing(run_cli: Cli, news: Path) -> None:
    before = run_cli("batches", "--json").json
    done = run_cli("import", news, "--dry-run")
    assert done.code == 0
    for text in ("文件列名", "识别为", "样例", "主营产品", "自定义列", "以上是预览", "合并重复"):
        assert text in done.out
    assert "13800" not in done.out
    assert "13900" not in done.out
    assert "已隐去" in done.out
    assert run_cli("batches", "--json").json == before
    assert not news.with_name("新 企业.rejects.csv").exists()


def test_an_import_counts_keeps_rejects_aside_and_can_be_undone(run_cli: Cli, news: Path) -> None:
    done = run_cli("import", news, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert (found["rows"], found["merged"], found["rejected"]) == (9, 1, 1)
    assert found["batch"]["created"] == 6
    assert found["unknown_columns"] == ["自定义列"]
    assert Path(found["rejects_file"]).read_bytes().startswith(b"\xef\xbb\xbf")
    assert run_cli("firm", "合成新来00有限公司").code == 0
    undone = run_cli("undo", found["batch"]["batch_id"])
    assert undone.code == 0
    assert "删除 6 家" in undone.out
    assert run_cli("firm", "合成新来00有限公司").code == 3
    assert "已撤销" in run_cli("batches").out


def test_an_import_says_its_batch_and_how_to_undo_it(run_cli: Cli, news: Path) -> None:
    done = run_cli("import", news, "--rejects", "问题 行.csv")
    assert done.code == 0
    assert "undo 2" in done.out
    assert Path("问题 行.csv").is_file()
    again = run_cli("import", news, "--rejects", "问题 行.csv")
    assert "已在批次 2 导入过" in again.out


def test_too_many_rejects_need_a_yes(run_cli: Cli, tmp_path: Path) -> None:
    rows = firm_rows(40)[36:]
    rows[0][0] = rows[1][0] = ""
    rows[0][1] = rows[1][1] = ""
    path = write_firms(tmp_path / "一半.csv", rows)
    refused = run_cli("import", path)
    assert refused.code == 4
    assert "--yes" in refused.err
    assert len(run_cli("batches", "--json").json) == 1
    assert run_cli("import", path, "--yes").code == 0
    assert len(run_cli("batches", "--json").json) == 2


@pytest.mark.parametrize("name", ["镇.yaml", "镇.jsonl"])
def test_town_files_are_recognised_by_what_they_hold(
    run_cli: Cli, tmp_path: Path, name: str
) -> None:
    town = TOWNS[0] | {"id": "syn-new", "name": "合成新镇"}
    path = tmp_path / name
    text = json.dumps(town, ensure_ascii=False)
    path.write_text(
        yaml.safe_dump(town, allow_unicode=True) if name.endswith("yaml") else text, "utf-8"
    )
    tried = run_cli("import", path, "--dry-run")
    assert (tried.code, "未写入" in tried.out) == (0, True)
    assert run_cli("town", "syn-new").code == 3
    assert "新建 1" in run_cli("import", path).out
    assert run_cli("import", path, "--json").json["towns"] == {"syn-new": "unchanged"}
    assert run_cli("rank", "合成新镇", "-k", 1).code == 0


def test_a_town_shown_as_json_can_be_imported_as_yaml(run_cli: Cli, tmp_path: Path) -> None:
    shown = run_cli("town", "合成铸造", "--json").out
    path = tmp_path / "改过.yaml"
    path.write_text(shown, "utf-8")
    assert run_cli("import", path, "--json").json["towns"] == {"syn-casting": "unchanged"}


@pytest.mark.parametrize(
    ("first", "towns"),
    [
        ({"id": "a", "name": "合成镇", "chain": []}, True),
        ({"id": "a", "name": "合成镇"}, True),
        ({"id": "a", "name": "合成公司", "capital": 5}, False),
        ({"企业名称": "合成公司", "主营产品": "铸件"}, False),
        ({"name": "合成公司", "products": "铸件"}, False),
        ([1], False),
    ],
)
def test_json_lines_are_towns_only_with_the_keys_of_towns(
    tmp_path: Path, first: object, towns: bool
) -> None:
    path = tmp_path / "什么.jsonl"
    path.write_text("\n" + json.dumps(first, ensure_ascii=False) + "\n", "utf-8-sig")
    assert looks_like_towns(path) is towns


def test_broken_json_lines_are_left_to_the_firm_reader(tmp_path: Path) -> None:
    path = tmp_path / "坏.jsonl"
    path.write_text("{", "utf-8")
    assert looks_like_towns(path) is False
    assert looks_like_towns(tmp_path) is True


@pytest.mark.parametrize(
    ("text", "target", "shown"),
    [
        ("13912345678", "phone", "（已隐去）"),
        ("致电 13912345678 或 0356-2021234", None, "致电 *** 或 ***"),
        ("mail a.b@example.com", None, "mail ***"),
        ("91140500MA0XXXXX12", "uscc", "91140500MA0XXXXX12"),
    ],
)
def test_samples_hold_no_contacts(text: str, target: str | None, shown: str) -> None:
    assert masked(text, target) == shown


def test_init_on_an_empty_home_loads_what_is_shipped_once(
    run_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path / "新家"))
    first = run_cli("init")
    assert first.code == 0, first.err
    assert "样例企业" in first.out
    towns = run_cli("towns", "--json").json
    assert towns
    assert set(run_cli("init", "--json").json["towns"].values()) == {"unchanged"}
    assert len(run_cli("batches", "--json").json) == 1


def test_backtest_compares_with_baselines_and_writes_the_run(run_cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "回测 数据"
    folder.mkdir()
    write_firms(folder / "enterprises.csv", firm_rows())
    lines = [json.dumps(t, ensure_ascii=False) for t in TOWNS]
    (folder / "towns.jsonl").write_text("\n".join(lines), "utf-8")
    assert "没有 truth.csv" in run_cli("backtest", folder).err
    (folder / "truth.csv").write_text(
        "town_id,firm_id,gain\nsyn-casting,600000,1\nsyn-silk,600004,2\n"
    )
    done = run_cli("backtest", folder, "--out", "跑.csv", "-k", 10)
    assert done.code == 0, done.err
    assert "nDCG@10" in done.out
    assert "zyz-match" in done.out
    run = Path("跑.csv").read_text("utf-8").splitlines()
    assert run[0] == "town_id,firm_id,rank,score"
    assert len(run) == 21
    values = run_cli("backtest", folder, "--json").json
    assert values["rows"][0]["name"] == "zyz-match"
