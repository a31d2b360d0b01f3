"""The index on the command line: shown, estimated, built."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, firm_rows, process, write_firms


def test_the_index_is_shown_and_built(run_cli: Cli, home: Path) -> None:
    shown = run_cli("index")
    assert shown.code == 0
    assert re.search(r"数据版本 +1-\w+（与企业库一致）", shown.out)
    assert re.search(r"企业 +36 家（企业库现有 36 家）", shown.out)
    assert str(home / "index") in shown.out
    run_cli("import", write_firms(home.parent / "更多.csv", firm_rows(40)[38:]))
    assert "企业库现为 2-" in run_cli("index").out
    assert re.search(r"企业 +38 家", run_cli("index", "--rebuild").out)
    assert run_cli("index").out == run_cli("index").out
    assert len(list((home / "index").glob("*.index"))) == 2


def test_the_index_as_json(run_cli: Cli) -> None:
    found = run_cli("index", "--json").json
    assert (found["firms"], found["faults"], found["file"]["segments"]) == (36, [], 1)
    assert Path(found["file"]["path"]).stat().st_size == found["file"]["bytes"]
    rebuilt = run_cli("index", "--rebuild", "--json").json
    assert rebuilt["file"]["path"] > found["file"]["path"]


def test_an_estimate_says_that_it_is_one(run_cli: Cli) -> None:
    said = run_cli("index", "--estimate", "--firms", "1000000").out
    assert "按库中前 36 家企业实测推算，1,000,000 家企业的索引大约需要" in said
    assert re.search(r"磁盘 +[\d.,]+ [MG]B", said)
    assert "这是估算" in said
    assert run_cli("index", "--estimate", "--json").json["firms"] == 36


@pytest.mark.slow
def test_without_an_index_or_a_firm_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "空").mkdir()
    shown = process(tmp_path / "空", "index")
    assert shown.returncode == 0
    assert "还没有企业索引" in shown.stderr.decode()
    estimated = process(tmp_path / "空", "index", "--estimate")
    assert estimated.returncode == 2
    assert "还没有企业" in estimated.stderr.decode()


def test_a_damaged_index_is_named(run_cli: Cli, home: Path) -> None:
    [path] = (home / "index").glob("*.index")
    path.write_bytes(path.read_bytes()[:-1])
    shown = run_cli("index")
    assert str(path) in shown.err
    assert "可能不完整" in shown.err
    assert run_cli("rank", "合成铸造", "-k", "1").code == 0
    assert "与企业库一致" in run_cli("index").out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--rebuild", "--estimate"], "只能用一个"),
        (["--firms", "9"], "要与 --estimate 一起用"),
        (["--estimate", "--firms", "0"], "正整数"),
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together(run_cli: Cli, args: list[str], says: str) -> None:
    done = run_cli("index", *args)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
