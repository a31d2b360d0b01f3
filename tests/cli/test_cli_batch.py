import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from tests.batch_world import firms, write_parts
from tests.cli.conftest import DANGEROUS, Cli, environment, hears_interrupts, process

BATCH = ("rank", "--all", "--parquet", "企业", "-k", "15")


@pytest.fixture
def parquet(home: Path) -> Path:
    """Three parquet files of 20 firms each, beside the store."""
    return write_parts(home.parent / "企业", firms(60), [20, 40])


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# the store's firms ---------------------------------------------------------------------------


def test_all_towns_get_a_list_and_a_receipt(run_cli: Cli) -> None:
    done = run_cli("rank", "--all", "-k", 3)
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if "合成" in line]
    assert len(lines) == 2
    for line in lines:
        assert run_cli("list", line.split()[-1], "--json").json["k"] == 3


def test_the_file_holds_what_each_town_gets_alone(run_cli: Cli, home: Path) -> None:
    alone = run_cli("rank", "合成铸造", "-k", 5, "--json").json["matches"]
    done = run_cli("rank", "--all", "-k", 5, "--out", "名单.jsonl")
    assert "10 行" in done.err
    rows = [json.loads(x) for x in (home.parent / "名单.jsonl").read_text("utf-8").splitlines()]
    found = [r for r in rows if r["town_id"] == "syn-casting"]
    assert [r["firm_id"] for r in found] == [m["firm"]["firm_id"] for m in alone]
    assert [r["score"] for r in found] == [m["score"] for m in alone]
    assert [r["reason"] for r in found] == [m["reason"] for m in alone]
    for row, match in zip(found, alone, strict=True):
        for c in match["contributions"]:
            assert row[c["name"]] == c["points"]


def test_every_kind_of_file_says_the_same(run_cli: Cli, home: Path) -> None:
    for suffix in (".parquet", ".csv", ".xlsx"):
        assert run_cli("rank", "--all", "-k", 36, "--out", f"名单{suffix}").code == 0
    table = pq.read_table(home.parent / "名单.parquet").to_pylist()
    of_csv = csv_rows(home.parent / "名单.csv")
    sheet = openpyxl.load_workbook(home.parent / "名单.xlsx").active
    assert sheet is not None
    head, *of_excel = sheet.iter_rows(values_only=True)
    assert list(of_csv[0]) == list(head)
    names = [r["name"] for r in table]
    assert DANGEROUS in names
    assert [r["企业名称"].removeprefix("'") for r in of_csv] == names
    assert f"'{DANGEROUS}" in [r["企业名称"] for r in of_csv]
    assert [r[head.index("企业名称")] for r in of_excel] == names
    scores = [r[head.index("得分")] for r in of_excel]
    assert scores == pytest.approx([r["score"] for r in table])
    assert [float(r["得分"]) for r in of_csv] == pytest.approx(scores, abs=1e-4)
    assert "近期扩张" not in head  # nobody has events here
    assert "activity" in table[0]


def test_filters_hold_for_all_towns_and_json_is_one_value(run_cli: Cli) -> None:
    found = run_cli("rank", "--all", "--province", "浙江省", "--json").json
    assert [x["town"]["id"] for x in found] == ["syn-casting", "syn-silk"]
    assert {m["firm"]["province"] for x in found for m in x["matches"]} == {"浙江省"}


# parquet -------------------------------------------------------------------------------------


def test_a_batch_ranks_the_firms_of_the_files_only(run_cli: Cli, home: Path, parquet: Path) -> None:
    done = run_cli(*BATCH, "--out", "名单.csv")
    assert done.code == 0, done.err
    rows = csv_rows(home.parent / "名单.csv")
    assert {r["企业编号"] for r in rows} <= set(firms(60).firm_id)
    assert [r["名次"] for r in rows] == [str(i) for i in range(1, 16)] * 2
    assert "企业 60 家，3 个分区" in done.out
    for step in ("统计用词", "计算企业特征", "评分"):
        assert step in done.out
    assert " MB" in done.out
    assert sorted(p.name for p in home.parent.iterdir()) == ["企业", "企业 数据", "名单.csv"]


def test_the_report_as_json(run_cli: Cli, home: Path, parquet: Path) -> None:
    found = run_cli(*BATCH, "--out", "名单.parquet", "--json").json
    assert (found["firms"], found["partitions"], found["model"]) == (60, 3, "prior-1")
    assert [t["listed"] for t in found["towns"]] == [15, 15]
    first = found["passes"][0]
    assert set(first) == {"name", "partitions", "firms", "seconds", "busy", "cpu", "peak"}
    assert pq.read_metadata(home.parent / "名单.parquet").num_rows == 30


def test_statistics_of_the_store_need_no_first_pass(run_cli: Cli, parquet: Path) -> None:
    found = run_cli(*BATCH, "--out", "名单.csv", "--statistics", "index", "--json").json
    assert found["passes"][0]["name"] == "计算企业特征"


def test_unknown_columns_are_named(run_cli: Cli, home: Path) -> None:
    write_parts(home.parent / "企业", firms(20).assign(别的列=1), [])
    assert "不认识的列已略过：别的列" in run_cli(*BATCH, "--out", "名单.csv").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["合成铸造", "--all"], "不要再写专业镇“合成铸造”"),
        (["--all", "--csv"], "--csv 不能与 --all 同用"),
        (["--all", "--xlsx", "a.xlsx"], "--xlsx 不能与 --all 同用"),
        (["合成铸造", "--out", "a.csv"], "--out 只能与 --all 同用"),
        (["--all", "--engine", "dask"], "--engine 只能与 --parquet 同用"),
        (["--all", "--out", "a.txt"], ".xlsx、.csv、.parquet、.jsonl 结尾"),
        (["--all", "--out", "企业 数据.csv/"], "是文件夹"),
        (["--all", "--parquet", "企业"], "须同时用 --out"),
        ([*BATCH[1:], "--out", "a.csv", "--text", "铸"], "不支持筛选"),
        ([*BATCH[1:], "--out", "a.csv", "--diversify"], "不支持筛选"),
        ([*BATCH[1:], "--out", "a.csv", "--engine", "spark"], "--engine 可用 loop、dask"),
        ([*BATCH[1:], "--out", "a.csv", "--statistics", "x"], "--statistics 可用 parquet、index"),
        ([*BATCH[1:], "--out", "a.csv", "--scheduler", "x"], "只能与 --engine dask 同用"),
        ([*BATCH[1:], "--out", "a.csv", "-k", "0"], "-k 应为 1 到 10000"),
        ([*BATCH[1:], "--out", "企业/名单.parquet"], "不能写进输入“企业”里"),
        (["--all", "--parquet", "无", "--out", "a.csv"], "没有文件“无”"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run_cli: Cli, home: Path, parquet: Path, words: list[str], said: str
) -> None:
    (home.parent / "企业 数据.csv").mkdir()
    done = run_cli("rank", *words)
    assert done.code == 2
    assert said in done.err


def test_a_broken_file_is_named_and_nothing_is_written(
    run_cli: Cli, home: Path, parquet: Path
) -> None:
    (parquet / "part-01.parquet").write_bytes(b"PAR1 broken")
    done = run_cli(*BATCH, "--out", "名单.csv")
    assert done.code == 2
    assert "part-01.parquet”不是 parquet 文件" in done.err
    assert not (home.parent / "名单.csv").exists()


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_ends_with_the_same_answer(
    home: Path, parquet: Path
) -> None:
    whole = process(home, *BATCH, "--out", "一次.parquet")
    assert whole.returncode == 0, whole.stderr.decode()
    work, rng = home.parent / "多次.parquet.work", random.Random(4)
    for files in (1, 5, 9, 12):
        child = subprocess.Popen(
            [sys.executable, "-m", "zyz_match", *BATCH, "--out", "多次.parquet"], cwd=home.parent,
            env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_for(files, work, child)
        time.sleep(rng.random() / files / 10)
        child.kill()
        assert child.wait() == -signal.SIGKILL
    last = process(home, *BATCH, "--out", "多次.parquet")
    assert last.returncode == 0, last.stderr.decode()
    assert "接着上次中断处继续" in last.stderr.decode()
    once, often = (pq.read_table(home.parent / f"{n}.parquet") for n in ("一次", "多次"))
    assert often.equals(once)
    assert not work.exists()


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on(home: Path, parquet: Path) -> None:
    for attempt in range(20):  # a quick machine may be done before it hears of it
        out = f"名单{attempt}.csv"
        child = subprocess.Popen(
            [sys.executable, "-m", "zyz_match", *BATCH, "--out", out], cwd=home.parent,
            env=environment(home), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            preexec_fn=hears_interrupts,
        )  # fmt: skip
        _wait_for(1, home.parent / f"{out}.work", child)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1].decode()
        if child.returncode:
            break
    assert child.returncode == 130
    assert "从中断处继续" in said
    assert "Traceback" not in said


def _wait_for(files: int, work: Path, child: "subprocess.Popen[Any]") -> None:
    """Until so many pieces are kept."""
    while sum(name.endswith(".flat") for *_, names in os.walk(work) for name in names) < files:
        assert child.poll() is None
        time.sleep(0.002)
