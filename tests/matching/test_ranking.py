from dataclasses import replace

import numpy as np
import pytest

from tests.worlds import TOWN, firm, table, world
from zyz_match.domain import ChainSegment, Col, Filters, Match, Product, Standing, Town
from zyz_match.errors import InputError
from zyz_match.firms import firm_from_row
from zyz_match.matching import ranking
from zyz_match.matching.index import Index


@pytest.fixture(scope="module")
def index() -> Index:
    return Index("synthetic").fit(world())


def names(index: Index, town: Town = TOWN, **options: object) -> list[str]:
    shortlist = ranking.rank(index, town, k=50, **options)  # type: ignore[arg-type]
    return [m.firm.name for m in shortlist.matches]


def test_makers_of_the_products_lead_and_strangers_close_the_list(index: Index) -> None:
    found = names(index)
    assert found[0] == "合成甲铸管公司"
    assert set(found[-3:]) >= {"合成己软件公司", "合成庚食品公司"}
    assert found.index("合成丙炉料公司") < found.index("合成己软件公司")


def test_dissolved_firms_and_firms_of_the_town_never_appear(index: Index) -> None:
    found = names(index)
    assert "合成壬注销铸造公司" not in found
    assert "合成辛本地铸造公司" not in found


def test_firms_that_are_there_already_never_appear(index: Index) -> None:
    assert "合成甲铸管公司" not in names(index, existing={"合成甲铸管公司"})


def test_abnormal_firms_are_listed_and_flagged(index: Index) -> None:
    found = {m.firm.name: m for m in ranking.rank(index, TOWN, k=50).matches}
    assert found["合成癸异常铸造公司"].flags == ("登记状态：经营异常",) or any(
        "经营异常" in f for f in found["合成癸异常铸造公司"].flags
    )
    assert not any("异常" in f for f in found["合成甲铸管公司"].flags)


def test_a_score_is_the_sum_of_its_contributions(index: Index) -> None:
    for match in ranking.rank(index, TOWN, k=50).matches:
        assert abs(sum(c.points for c in match.contributions) - match.score) <= 1e-9
        assert abs(match.fit + match.propensity - match.score) <= 1e-9
        assert all(-1e-12 <= c.points <= c.maximum + 1e-9 for c in match.contributions)


def test_every_live_component_can_give_its_share_of_a_hundred(index: Index) -> None:
    match = ranking.rank(index, TOWN, k=1).matches[0]
    assert sum(c.maximum for c in match.contributions) == pytest.approx(100)


def test_evidence_names_the_firms_own_words_and_the_segment(index: Index) -> None:
    match = ranking.rank(index, TOWN, k=1).matches[0]
    parts = {c.name: c for c in match.contributions}
    assert any("球墨铸铁管件" in line for line in parts["words"].evidence)
    assert any("主导产品" in line and "灰铸铁件" in line for line in parts["terms"].evidence)
    assert "3391" in parts["industry"].evidence[0]
    assert "同小类" in parts["industry"].evidence[0]
    assert "公里" in parts["place"].evidence[0]
    assert parts["marks"].evidence[0] == "专精特新小巨人"
    assert "球墨铸铁管件" in match.reason
    assert match.reason.endswith("。")


def test_a_supplier_is_matched_to_its_segment(index: Index) -> None:
    found = {m.firm.name: m for m in ranking.rank(index, TOWN, k=50).matches}
    assert found["合成丙炉料公司"].segment == "炉料"
    assert found["合成丁装备公司"].segment == "装备"


def test_missing_data_lower_the_confidence_and_are_said(index: Index) -> None:
    known, bare = (
        firm("合成同公司", products="灰铸铁件", industry="3391", division="370100", capital=100.0),
        firm("合成同公司二", products="灰铸铁件"),
    )
    pair = ranking.rank(Index().fit(table(known, bare, *world().to_dict("records"))), TOWN, k=50)
    found = {m.firm.name: m for m in pair.matches}
    assert found["合成同公司二"].confidence < found["合成同公司"].confidence
    missing = {c.name: c.missing for c in found["合成同公司二"].contributions if c.missing}
    assert {"industry", "place", "capacity"} <= missing.keys()


def test_a_missing_number_counts_as_the_mean_not_as_zero() -> None:
    rows = [
        firm(f"合成{i}号公司", products="灰铸铁件", capital=c)
        for i, c in enumerate((10.0, 100.0, 1000.0))
    ]
    rows.append(firm("合成未知公司", products="灰铸铁件"))
    shortlist = ranking.rank(Index().fit(table(*rows)), TOWN, k=10)
    points = {
        m.firm.name: next(c.points for c in m.contributions if c.name == "capacity")
        for m in shortlist.matches
    }
    known = [points[f"合成{i}号公司"] for i in range(3)]
    assert points["合成未知公司"] == pytest.approx(np.mean(known), rel=1e-6)


def test_no_record_of_a_mark_costs_nothing() -> None:
    rows = [
        firm("合成一公司", products="灰铸铁件"),
        firm("合成二公司", products="灰铸铁件", marks="科技型中小企业"),
    ]
    found = {m.firm.name: m for m in ranking.rank(Index().fit(table(*rows)), TOWN, k=2).matches}
    gain = found["合成二公司"].score - found["合成一公司"].score
    assert gain > 0
    assert next(c for c in found["合成一公司"].contributions if c.name == "marks").points == 0


def test_the_top_three_is_the_head_of_the_top_eight(index: Index) -> None:
    assert [m.firm for m in ranking.rank(index, TOWN, k=3).matches] == [
        m.firm for m in ranking.rank(index, TOWN, k=8).matches
    ][:3]


def test_ties_are_ordered_by_firm_id() -> None:
    rows = [firm(f"合成{x}", products="灰铸铁件", firm_id=x) for x in ("c", "a", "d", "b")]
    for r in rows:
        r[Col.NAME] = "合成同名公司"
    found = ranking.rank(Index().fit(table(*rows)), TOWN, k=4).matches
    assert [m.firm.firm_id for m in found] == ["a", "b", "c", "d"]
    assert [m.rank for m in found] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(provinces=("河北",)), {"合成甲铸管公司"}),
        (Filters(cities=("济南市",)), {"合成乙铸造公司"}),
        (Filters(provinces=("广东",)), {"合成庚食品公司"}),
        (
            Filters(industries=("黑色金属铸造",)),
            {"合成甲铸管公司", "合成乙铸造公司", "合成癸异常铸造公司"},
        ),
        (Filters(industries=("33",), capital_min=1000), {"合成甲铸管公司"}),
        (Filters(capital_max=1000), {"合成乙铸造公司"}),
        (Filters(marks=("专精特新小巨人",)), {"合成甲铸管公司"}),
        (Filters(listed=True), set()),
        (Filters(statuses=("经营异常",)), {"合成癸异常铸造公司"}),
        (Filters(text="抛丸"), {"合成丁装备公司"}),
        (Filters(text="拋丸"), {"合成丁装备公司"}),
        (Filters(employees_min=1), set()),
    ],
)  # fmt: skip
def test_filters_act_before_the_top_k(index: Index, filters: Filters, expected: set[str]) -> None:
    whole = {m.firm.firm_id: m.score for m in ranking.rank(index, TOWN, k=50).matches}
    shortlist = ranking.rank(index, TOWN, k=50, filters=filters)
    assert {m.firm.name for m in shortlist.matches} == expected
    assert shortlist.pool == len(expected)
    assert all(whole[m.firm.firm_id] == m.score for m in shortlist.matches)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(provinces=("乌有省",)),
        Filters(industries=("不存在的行业",)),
        Filters(marks=("金牌",)),
    ],
)
def test_a_filter_word_nobody_knows_is_refused(index: Index, filters: Filters) -> None:
    with pytest.raises(InputError, match="不认识"):
        ranking.rank(index, TOWN, k=5, filters=filters)


def test_what_requests_name_fills_no_memory(index: Index) -> None:
    ranking.rank(index, TOWN, k=1)
    before = len(index._kept)
    for n in range(40):
        town = replace(TOWN, exclude_regions=(f"合成区{n}",), industries=(f"标签{n}",))
        ranking.rank(index, town, k=1)
    assert len(index._kept) == before


def test_pages_follow_each_other_without_gap_or_repeat(index: Index) -> None:
    whole = ranking.rank(index, TOWN, k=50).matches
    seen: list[Match] = []
    after = None
    while page := ranking.rank(index, TOWN, k=3, after=after).matches:
        seen += page
        after = (page[-1].score, page[-1].firm.firm_id)
    assert [(m.rank, m.firm.firm_id) for m in seen] == [(m.rank, m.firm.firm_id) for m in whole]


def test_a_diversified_list_covers_the_missing_links(index: Index) -> None:
    plain = {m.segment for m in ranking.rank(index, TOWN, k=3).matches}
    spread = ranking.rank(index, TOWN, k=3, diversify=True).matches
    assert "装备" not in plain
    assert {"装备", "炉料"} <= {m.segment for m in spread}
    assert [m.rank for m in spread] == sorted(m.rank for m in spread)


def test_a_town_nothing_is_known_of_says_so(index: Index) -> None:
    empty = ranking.rank(index, Town("x", "合成空镇"), k=3)
    assert len(empty.matches) == 3
    assert any("名次" in n or "补充" in n for n in empty.notes)


def test_words_that_no_firm_uses_are_said(index: Index) -> None:
    town = Town("x", "合成镇", province="山西省", products=(Product("龘靐"),))
    assert any("没有一家企业" in n for n in ranking.rank(index, town, k=3).notes)


def test_all_firms_filtered_out_gives_an_empty_list_with_advice(index: Index) -> None:
    shortlist = ranking.rank(index, TOWN, k=5, filters=Filters(text="没有这样的词"))
    assert shortlist.matches == ()
    assert any("放宽" in n for n in shortlist.notes)


def test_explaining_a_firm_off_the_list_says_where_it_stands(index: Index) -> None:
    stranger = firm_from_row(index.records(index.rows_of(["合成己软件公司"]))[0])
    found = ranking.explain(index, TOWN, stranger)
    assert found.rank is not None
    assert found.match is not None
    assert 1 < found.rank <= found.pool
    assert any("主营词匹配" in line and "少" in line for line in found.holds_back)
    assert found.would_change


@pytest.mark.parametrize(
    ("name", "why"), [("合成壬注销铸造公司", "注销"), ("合成辛本地铸造公司", "晋城市")]
)
def test_explaining_an_excluded_firm_says_why(index: Index, name: str, why: str) -> None:
    excluded = firm_from_row(index.records(index.rows_of([name]))[0])
    found = ranking.explain(index, TOWN, excluded)
    assert found.match is None
    assert why in found.excluded


def test_the_best_town_of_a_caster_is_the_casting_town(index: Index) -> None:
    sweets = Town("sweets", "合成糖果镇", products=(Product("糖果"), Product("饼干")))
    caster = firm_from_row(index.records(index.rows_of(["合成甲铸管公司"]))[0])
    found = ranking.towns_for(index, caster, [sweets, TOWN], {}, 5)
    assert [f.town.id for f in found] == [TOWN.id, "sweets"]
    on_list = {m.firm.firm_id: m.rank for m in ranking.rank(index, sweets, k=50).matches}
    assert found[1].match.rank == on_list["合成甲铸管公司"]


def test_a_firm_excluded_from_a_town_is_not_sent_there(index: Index) -> None:
    local = firm_from_row(index.records(index.rows_of(["合成辛本地铸造公司"]))[0])
    assert ranking.towns_for(index, local, [TOWN], {}, 5) == []


def test_look_alikes_share_words_and_leave_out_the_given_firm(index: Index) -> None:
    caster = firm_from_row(index.records(index.rows_of(["合成甲铸管公司"]))[0])
    found = ranking.similar(index, [caster], 3)
    assert caster.firm_id not in {s.firm.firm_id for s in found}
    assert "灰铸铁件" in found[0].shared
    assert found[0].similarity >= found[1].similarity
    assert "合成壬注销铸造公司" not in {s.firm.name for s in found}


def test_anchors_draw_their_look_alikes_up_and_are_not_listed(index: Index) -> None:
    town = Town("t", "合成镇", products=(Product("五金"),), anchors=("合成庚食品公司",))
    plain = Town("t", "合成镇", products=(Product("五金"),))
    more = table(*world().to_dict("records"), firm("合成糕点坊公司", products="糕点；饼干；月饼"))
    index = Index().fit(more)
    score = {
        t.anchors: {m.firm.name: m.score for m in ranking.rank(index, t, k=50).matches}
        for t in (town, plain)
    }
    assert "合成庚食品公司" not in score["合成庚食品公司",]
    assert score["合成庚食品公司",]["合成糕点坊公司"] > score[()]["合成糕点坊公司"]


def test_a_needed_segment_counts_more_than_a_present_one() -> None:
    def town(need: str) -> Town:
        chain = (ChainSegment("装备", "support", need, ("抛丸机",)),)  # type: ignore[arg-type]
        return Town("t", "合成镇", products=(Product("灰铸铁件"),), chain=chain)

    index = Index().fit(world())
    gain = {
        need: next(
            m.score
            for m in ranking.rank(index, town(need), k=50).matches
            if "丁装备" in m.firm.name
        )
        for need in ("missing", "present")
    }
    assert gain["missing"] > gain["present"]


def test_unknown_standing_is_flagged_not_hidden() -> None:
    frame = table(firm("合成某公司", products="灰铸铁件", standing=Standing.UNKNOWN, status=""))
    match = ranking.rank(Index().fit(frame), TOWN, k=1).matches[0]
    assert any("未知" in f for f in match.flags)
