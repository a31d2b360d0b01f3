"""The shipped data: ten towns, real firms, sources; and the lists they make."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from zyz_match import profiles
from zyz_match.industry import IndustryTree
from zyz_match.service import Service
from zyz_match.shipped import data_folder

SAMPLE = data_folder() / "sample" / "enterprises.csv"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with SAMPLE.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_first_ten_towns_are_whole() -> None:
    towns = profiles.read_towns(data_folder() / "towns")
    assert len(towns) == 10
    for town in towns:
        assert town.county
        assert town.products
        assert {"upstream", "core", "downstream"} <= {s.role for s in town.chain}
        assert all(s.need is None for s in town.chain), "need is for the town's team to fill in"
        codes = {*town.industries, *(c for s in town.chain for c in s.industries)}
        assert all(c in IndustryTree.shipped() for c in codes)


def test_there_are_three_hundred_firms_each_with_a_source(rows: list[dict[str, str]]) -> None:
    assert len(rows) >= 300
    assert all(r["企业名称"] and r["资料来源"] for r in rows)
    assert len({r["企业名称"] for r in rows}) == len(rows)


def test_every_town_has_fifteen_relevant_firms(rows: list[dict[str, str]]) -> None:
    with (data_folder() / "sample" / "truth.csv").open(encoding="utf-8") as stream:
        truth = list(csv.DictReader(stream))
    known = {r["证券代码"] or r["企业名称"] for r in rows}
    assert all(r["firm_id"] in known for r in truth)
    counts = Counter(r["town_id"] for r in truth)
    assert len(counts) == 10
    assert min(counts.values()) >= 15


def test_the_shipped_lists_put_relevant_firms_first() -> None:
    report = Service.backtest(data_folder() / "sample")
    assert report.towns == 10
    assert report.rows[0].ndcg10.mean >= 0.9
    assert report.rows[0].recall50.mean >= 0.75


@pytest.mark.slow
def test_listed_firms_reach_the_stated_quality() -> None:
    folder = Path(__file__).parents[2] / "shared" / "data" / "a_share"
    if not folder.is_dir():
        pytest.skip("公开数据 a_share 不在旁边，跳过质量核对")
    report = Service.backtest(folder)
    ours, *plain = report.rows
    assert ours.ndcg10.mean >= 0.44
    assert ours.recall50.mean >= 0.485
    both = next(r for r in plain if r.name == "BM25 + LSA")
    assert both.ndcg_gain is not None
    assert both.recall_gain is not None
    assert both.ndcg_gain.low > 0
    assert both.recall_gain.low > 0
