"""Batches: partitions against one index, interruptions, parquet that cannot be believed."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.batch_world import TOWNS, firms, job, listed, of_one_index, write, write_parts
from zyz_match.batch_files import check_out
from zyz_match.domain import Col, Standing
from zyz_match.errors import FileError, InputError
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.index import Index
from zyz_match.matching.phrases import cut
from zyz_match.matching.tally import Tally, cut_from_parts, cut_parts, fit
from zyz_match.scale import batch, engines, parquet
from zyz_match.scale.steps import Done, Task, do
from zyz_match.scale.work import CUT, FEATURES, FOUND, INDEX, JOB, SURVEY, TALLY, Work, alone

few = settings(max_examples=8, deadline=None)
cuts = st.lists(st.integers(0, 40), max_size=5).map(sorted)


# the answer ----------------------------------------------------------------------------------


@pytest.mark.slow
@few
@given(cuts, st.integers(1, 60), st.integers(0, 5))
def test_partitions_give_the_answer_of_one_index(
    tmp_path_factory: pytest.TempPathFactory, cut_at: list[int], k: int, seed: int
) -> None:
    folder, frame = tmp_path_factory.mktemp("批"), firms(40, seed)
    answer = batch.run(folder / "work", job(write_parts(folder / "in", frame, cut_at), k))
    expected, found = of_one_index(frame, k), listed(answer.rows)
    for town in TOWNS:
        assert [f for f, _ in found[town.id]] == [f for f, _ in expected[town.id]]
        scores, of_one = ([s for _, s in some[town.id]] for some in (found, expected))
        np.testing.assert_allclose(scores, of_one, rtol=0, atol=1e-9)


def test_an_empty_file_and_a_single_firm_are_partitions_like_others(tmp_path: Path) -> None:
    frame = firms(30)
    folder = write_parts(tmp_path / "in", frame, [0, 1, 1, 17])
    answer = batch.run(tmp_path / "work", job(folder))
    assert answer.partitions == 3
    assert listed(answer.rows) == of_one_index(frame, 10)


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_of_hardly_any_firm_is_ranked(tmp_path: Path, count: int) -> None:
    frame = firms(count)
    answer = batch.run(tmp_path / "work", job(write_parts(tmp_path / "in", frame, [1])))
    assert listed(answer.rows) == of_one_index(frame, 10)


def test_firms_that_are_all_gone_give_empty_lists(tmp_path: Path) -> None:
    frame = firms(10).assign(standing=Standing.GONE.value)
    answer = batch.run(tmp_path / "work", job(write_parts(tmp_path / "in", frame, [4])))
    assert answer.rows.num_rows == 0
    assert [(t.pool, t.listed) for t in answer.towns] == [(0, 0)] * len(TOWNS)


def test_points_of_fit_and_propensity_are_the_score(tmp_path: Path) -> None:
    answer = batch.run(tmp_path / "work", job(write_parts(tmp_path / "in", firms(40), [20]), 40))
    frame = answer.rows.to_pandas()
    np.testing.assert_allclose(frame.fit + frame.propensity, frame.score, atol=1e-9)
    components = frame.loc[:, "words":].sum(axis=1)
    np.testing.assert_allclose(components, frame.score, atol=1e-9)
    assert frame.confidence.between(0, 1).all()
    assert [t.listed for t in answer.towns] == frame.town_id.value_counts()[
        [t.id for t in TOWNS]
    ].tolist()
    assert all(t.listed <= t.pool <= 40 for t in answer.towns)


def test_a_town_without_a_known_word_is_ranked_by_the_rest_and_it_is_said(tmp_path: Path) -> None:
    frame = firms(30)
    answer = batch.run(tmp_path / "work", job(write_parts(tmp_path / "in", frame, [9])))
    assert listed(answer.rows)["syn-none"] == of_one_index(frame, 10)["syn-none"]
    assert [n for n in answer.notes if "合成无词专业镇" in n]
    assert not [n for n in answer.notes if "合成丝绸专业镇" in n]


def test_statistics_may_come_from_an_index_of_other_firms(tmp_path: Path) -> None:
    frame, learnt = firms(30), Index().fit(firms(50, seed=9))
    folder = write_parts(tmp_path / "in", frame, [11, 12])
    answer = batch.run(tmp_path / "work", job(folder), features=learnt.features)
    whole = learnt.updated(frame, set(learnt.frame[Col.FIRM_ID]))
    assert listed(answer.rows) == of_one_index(frame, 10, whole)
    assert TALLY not in {p.name for p in answer.passes}
    assert "统计用词" not in [p.name for p in answer.passes]


@few
@given(cuts, st.integers(0, 5))
def test_features_fitted_on_tallies_are_those_fitted_on_all(cut_at: list[int], seed: int) -> None:
    frame, tallies = firms(40, seed), []
    whole = FirmFeatures().fit(frame)
    for low, high in zip([0, *cut_at], [*cut_at, 40], strict=True):
        part = frame.iloc[low:high]
        meta, pairs = cut_parts(cut(part))
        phrases = cut_from_parts(meta, dict(pairs))
        tallies.append(Tally.from_parts(*Tally.of(part, phrases, 0, 1).parts()))
    meta, arrays = fit(tallies).parts()
    expected, of_whole = whole.parts()
    assert meta == expected
    assert arrays.keys() == of_whole.keys()
    for name, array in of_whole.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_sampled_rows_are_evenly_spaced_over_all_partitions() -> None:
    frame, step = firms(40), 7
    whole = Tally.of(frame, cut(frame), 0, step)
    parts = [frame.iloc[:10], frame.iloc[10:12], frame.iloc[12:]]
    starts = np.cumsum([0, 10, 2])
    some = [Tally.of(p, cut(p), -int(s) % step, step) for p, s in zip(parts, starts, strict=True)]
    assert sum(len(t.sample.lengths) for t in some) == len(whole.sample.lengths)
    lengths = np.concatenate([t.sample.lengths for t in some])
    np.testing.assert_array_equal(lengths, whole.sample.lengths)


# interruptions -------------------------------------------------------------------------------


class Stopped(Exception):
    """The process went away."""


def stopping_after(tasks: int, seen: list[Task]) -> batch.Engine:
    """An engine that breaks off once it has done so many tasks."""

    @contextmanager
    def engine(_work: Work) -> Iterator[engines.Run]:
        def run(asked: Sequence[Task]) -> Iterator[Done]:
            for task in asked:
                if len(seen) == tasks:
                    raise Stopped
                seen.append(task)
                yield do(task)

        yield run

    return engine


@pytest.mark.slow
def test_what_was_done_before_an_interruption_is_not_done_again(tmp_path: Path) -> None:
    asked = job(write_parts(tmp_path / "in", firms(40), [10, 20, 30]))
    whole = batch.run(tmp_path / "undisturbed", asked)
    done: list[Task] = []
    for tasks in (0, 2, 4, 7, 11):
        with pytest.raises(Stopped):
            batch.run(tmp_path / "work", asked, stopping_after(tasks, done))
    answer = batch.run(tmp_path / "work", asked, stopping_after(12, done))
    assert answer.rows.equals(whole.rows)
    assert [(t.step, t.number) for t in done] == [
        (step, n) for step in (TALLY, INDEX, FOUND) for n in range(4)
    ]
    assert [n for n in answer.notes if "接着上次" in n and "评分 3/4" in n]


@pytest.mark.parametrize("change", ["k", "towns", "files"])
def test_another_job_in_the_same_folder_starts_anew(tmp_path: Path, change: str) -> None:
    folder = write_parts(tmp_path / "in", firms(40), [20])
    with pytest.raises(Stopped):
        batch.run(tmp_path / "work", job(folder), stopping_after(3, []))
    if change == "files":
        write(folder / "part-01.parquet", firms(45).iloc[20:])
    asked = job(folder, 5 if change == "k" else 10, TOWNS[:2] if change == "towns" else TOWNS)
    done: list[Task] = []
    answer = batch.run(tmp_path / "work", asked, stopping_after(99, done))
    assert len(done) == 6
    assert "已重新开始" in answer.notes[0]
    assert answer.rows.equals(batch.run(tmp_path / "other", asked).rows)


@pytest.mark.parametrize("kind", [CUT, FEATURES, TALLY, INDEX])
def test_a_kept_piece_that_is_lost_or_cut_short_is_made_again(tmp_path: Path, kind: str) -> None:
    asked = job(write_parts(tmp_path / "in", firms(40), [20]))
    with pytest.raises(Stopped):
        batch.run(tmp_path / "work", asked, stopping_after(3, []))
    pieces = sorted((tmp_path / "work" / kind).glob("*/*.flat"))
    assert pieces
    for piece in pieces:
        if kind == CUT:
            piece.unlink()
        else:
            piece.write_bytes(piece.read_bytes()[:-9])
    if kind == INDEX:
        shutil.rmtree(tmp_path / "work" / SURVEY)
    found = batch.run(tmp_path / "work", asked)
    assert found.rows.equals(batch.run(tmp_path / "other", asked).rows)


def test_a_file_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    asked = job(write_parts(tmp_path / "in", firms(40), [20]))
    write(tmp_path / "in" / "part-01.parquet", firms(40).iloc[21:])
    with pytest.raises(FileError, match=r"part-01\.parquet.*被改动"):
        batch.run(tmp_path / "work", asked)


def test_only_our_own_files_are_removed(tmp_path: Path) -> None:
    asked, work = job(write_parts(tmp_path / "in", firms(20), [])), tmp_path / "work"
    answer = batch.run(work, asked)
    (work / "别人的.txt").write_text("留着")
    answer.work.forget()
    assert [p.name for p in work.iterdir()] == ["别人的.txt"]
    (work / "别人的.txt").unlink()
    batch.run(work, asked).work.forget()
    assert not work.exists()


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    asked = job(write_parts(tmp_path / "in", firms(20), []))
    with alone(tmp_path / "work"), pytest.raises(InputError, match="另一进程"):
        batch.run(tmp_path / "work", asked)


def test_the_job_is_read_back_as_it_was(tmp_path: Path) -> None:
    asked = job(write_parts(tmp_path / "in", firms(20), [3]))
    work, other = Work.begin(tmp_path / "work", asked)
    assert not other
    assert work.job == asked
    assert Work.begin(tmp_path / "work", asked)[0].name == work.name
    (tmp_path / "work" / JOB).write_text("{}")
    assert Work.begin(tmp_path / "work", asked)[1]


# parquet -------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=4), st.integers(1, 12), st.integers(1, 20))
def test_partitions_hold_every_row_once_and_no_more_than_fit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], groups: int, most: int
) -> None:
    folder, frame, low = tmp_path_factory.mktemp("分"), firms(sum(sizes) + 1), 0
    for i, size in enumerate([*sizes, 1]):
        path = folder / f"{i}.parquet"
        write(path, frame.iloc[low : low + size], row_group_size=groups)
        low += size
    found, unknown = parquet.partitions(folder, most)
    assert unknown == ()
    assert all(1 <= p.rows <= max(most, groups) for p in found)
    assert [p.first for p in found] == np.cumsum([0, *(p.rows for p in found)])[:-1].tolist()
    ids = [i for p in found for i in parquet.read(p)[Col.FIRM_ID]]
    assert ids == frame[Col.FIRM_ID].tolist()


def only(path: Path) -> pd.DataFrame:
    """The firms of a file of one partition."""
    (partition,) = parquet.partitions(path)[0]
    return parquet.read(partition)


def test_missing_columns_are_missing_and_standing_follows_from_the_status(tmp_path: Path) -> None:
    path = tmp_path / "少.parquet"
    pq.write_table(
        pa.table(
            {
                "name": ["合成甲公司", "合成乙公司", "合成丙公司"], "scope": ["铸造", None, "丝绸"],
                "status": ["注销", "存续", None], "province": ["浙江省", "山西省", None],
                "city": ["宁波市", "晋城市", None], "industry_text": ["黑色金属铸造", "", None],
                "capital": pa.array([1, None, 3]), "别的": [1, 2, 3],
            }
        ),
        path,
    )  # fmt: skip
    assert parquet.partitions(path)[1] == ("别的",)
    found = only(path)
    assert found[Col.FIRM_ID].tolist() == ["合成甲公司", "合成乙公司", "合成丙公司"]
    assert found[Col.STANDING].tolist() == ["gone", "active", "unknown"]
    assert found[Col.DIVISION].tolist() == ["330200", "140500", ""]
    assert found[Col.INDUSTRY].tolist() == ["3391", "", ""]
    assert found[Col.SCOPE].tolist() == ["铸造", "", "丝绸"]
    np.testing.assert_array_equal(found[Col.CAPITAL], [1, np.nan, 3])
    assert found[Col.EMPLOYEES].isna().all()


def test_text_may_be_coded_and_a_firm_without_id_has_its_code(tmp_path: Path) -> None:
    path = tmp_path / "码.parquet"
    pq.write_table(
        pa.table(
            {
                "firm_id": pa.array([7, 8, None]), "name": ["合成甲", "合成乙", "合成丙"],
                "stock_code": [None, None, "600001"], "scope": pa.array(["铸造"] * 3),
                "status": pa.array(["存续"] * 3).dictionary_encode(),
            }
        ),
        path,
    )  # fmt: skip
    found = only(path)
    assert found[Col.FIRM_ID].tolist() == ["7", "8", "600001"]
    assert found[Col.STATUS].tolist() == ["存续"] * 3


def broken(path: Path) -> None:
    path.write_bytes(b"PAR1 no parquet PAR1")


def cut_short(path: Path) -> None:
    write(path, firms(40))
    path.write_bytes(path.read_bytes()[:-100])


def with_a_bad_page(path: Path) -> None:
    write(path, firms(40), compression="zstd")
    content = bytearray(path.read_bytes())
    content[8:400] = bytes(392)
    path.write_bytes(content)


BAD_TEXT = pa.Array.from_buffers(
    pa.string(), 2, pa.array([b"\xff\xfe", b"ok"], pa.binary()).buffers()
)


def having(**columns: object) -> Callable[[Path], None]:
    """A file with these columns instead of usual ones."""

    def make(path: Path) -> None:
        usual = {"firm_id": ["甲", "乙"], "scope": ["铸造", "丝绸"]}
        kept = {n: v for n, v in (usual | columns).items() if v is not None}
        pq.write_table(pa.table(kept), path)

    return make


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (broken, "不是 parquet 文件"),
        (cut_short, "不是 parquet 文件"),
        (with_a_bad_page, "不是 parquet 文件"),
        (having(firm_id=None), "缺少 firm_id 或 name"),
        (having(scope=None, 经营范围=["铸造", "丝绸"]), "缺少 scope 或 products.*经营范围"),
        (having(firm_id=["甲", "甲"]), "编号 甲 不止一行"),
        (having(firm_id=["甲", ""]), "第 2 行没有 firm_id"),
        (having(scope=[1.5, 2.5]), "scope 列不是文字"),
        (having(capital=["1万", "2万"]), "capital 列不是数字"),
        (having(capital=[1.0, -2.0]), "第 2 行的 capital 为 -2"),
        (having(revenue=[float("inf"), 1.0]), "第 1 行的 revenue 为 inf"),
        (having(standing=["active", "还在"]), "standing 列中有“还在”"),
        (having(scope=BAD_TEXT), "scope 列有不是 UTF-8 的文字"),
        (having(firm_id=[], scope=[]), "没有企业"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "企业 表.parquet"
    make(path)
    with pytest.raises(FileError, match=why) as error:
        batch.run(tmp_path / "work", job(path))
    assert "企业 表.parquet" in error.value.message


def test_more_rows_than_a_sheet_holds_are_refused_before_the_work() -> None:
    check_out(Path("名单.xlsx"), 1_000_000)
    with pytest.raises(InputError, match="装不下"):
        check_out(Path("名单.xlsx"), 2_000_000)
    check_out(Path("名单.csv"), 2_000_000)


def test_a_folder_without_parquet_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"没有 \.parquet"):
        parquet.partitions(tmp_path)
    with pytest.raises(FileError, match="没有文件"):
        parquet.partitions(tmp_path / "无.parquet")


def test_a_firm_in_two_files_is_refused_with_both_names(tmp_path: Path) -> None:
    frame = firms(20)
    folder = write_parts(tmp_path / "in", frame, [10])
    write(folder / "part-01.parquet", pd.concat([frame.iloc[10:], frame.iloc[:1]]))
    with pytest.raises(FileError, match=r"合成000号.*part-00.*part-01"):
        batch.run(tmp_path / "work", job(folder, 20))
