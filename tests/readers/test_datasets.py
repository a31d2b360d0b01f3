"""Folders of plain files: read strictly, firms found by id, code or name, runs that score."""

import csv
from pathlib import Path

import pytest

from tests.readers import exports as make
from zyz_match.domain import Col
from zyz_match.errors import FileError, InputError
from zyz_match.storage.datasets import Dataset, read_dataset, write_run

SHARED = Path(__file__).parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared data are not at {SHARED}")


def folder_of(tmp_path: Path, **files: str) -> Path:
    for stem, text in files.items():
        name = "towns.jsonl" if stem == "towns" else f"{stem}.csv"
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


FIRMS = "企业名称\n合成（示例）公司\nExample One\n合成乙公司\n"


def test_every_file_is_optional(tmp_path: Path) -> None:
    data = read_dataset(tmp_path)
    assert data.firms is None
    assert data.towns == []
    assert data.truth == {}
    assert list(data.events.columns) == [
        "firm_id", "date", "region", "industry", "target", "kind", "amount",
    ]  # fmt: skip
    assert str(data.events["date"].dtype).startswith("datetime64")
    assert list(data.existing.columns) == ["town_id", "firm_id"]


def test_a_folder_with_everything(tmp_path: Path) -> None:
    data = read_dataset(folder_of(
        tmp_path, enterprises=FIRMS,
        towns='{"id": "t1", "name": "合成镇", "anchors": ["Example One", "不在表中"]}\n',
        events="date,firm_id,region,industry,target,amount\n2009-01-02,合成(示例)公司,甲,乙,丙,1.5\n",
        existing="town_id,firm_id\nt1,EXAMPLE ONE\n",
        leads="town_id,firm_id,date,outcome,备注\nt1,合成乙公司,2010-05-06,Signed,x\n",
        truth="town_id,firm_id,gain\nt1,合成(示例)公司,2\nt1,不在表中,1\n",
    ))  # fmt: skip
    assert data.firms is not None
    ids = dict(zip(data.firms.frame[Col.NAME], data.firms.frame[Col.FIRM_ID], strict=True))
    assert data.events["firm_id"][0] == ids["合成（示例）公司"]
    assert data.events["amount"][0] == 1.5
    assert data.existing["firm_id"][0] == ids["Example One"]
    assert data.leads["firm_id"][0] == ids["合成乙公司"]
    assert data.leads["outcome"][0] == "signed"
    assert data.truth == {"t1": {ids["合成（示例）公司"]: 2.0, "不在表中": 1.0}}
    assert data.towns[0].anchors == (ids["Example One"], "不在表中")
    assert any("truth.csv 有 1 行" in w for w in data.warnings)


def test_a_run_calls_each_firm_what_truth_calls_it(tmp_path: Path) -> None:
    data = read_dataset(folder_of(
        tmp_path, enterprises=FIRMS, truth="town_id,firm_id,gain\nt1,合成(示例)公司,1\n",
        existing="town_id,firm_id\nt2,合成【示例】公司\n",
    ))  # fmt: skip
    assert data.firms is not None
    rows = [("t1", f, rank, 1.0 / rank) for rank, f in enumerate(data.firms.frame[Col.FIRM_ID], 1)]
    write_run(tmp_path / "run.csv", rows, data)
    with (tmp_path / "run.csv").open(encoding="utf-8") as file:
        run = list(csv.DictReader(file))
    assert list(run[0]) == ["town_id", "firm_id", "rank", "score"]
    assert [r["firm_id"] for r in run] == ["合成(示例)公司", "Example One", "合成乙公司"]
    assert [r["rank"] for r in run] == ["1", "2", "3"]


def test_firms_are_found_by_code_and_by_their_own_id(tmp_path: Path) -> None:
    code = make.make_uscc(9)
    data = read_dataset(folder_of(
        tmp_path,
        enterprises=f"firm_id,企业名称,统一社会信用代码,证券代码\nF1,合成甲,{code},\nF2,合成乙,,000001\nF3,合成丙,,\n",
        existing=f"town_id,firm_id\nt,F1\nt,{code.lower()}\nt,000001.SZ\nt,F2\nt,合成丙\nt,F3\n",
    ))  # fmt: skip
    assert list(data.existing["firm_id"]) == [code, code, "000001", "000001", "F3", "F3"]
    assert data.warnings == ()


def test_a_name_that_two_firms_share_names_neither(tmp_path: Path) -> None:
    codes = make.make_uscc(1), make.make_uscc(2)
    data = read_dataset(folder_of(
        tmp_path, enterprises=f"企业名称,统一社会信用代码\n合成甲,{codes[0]}\n合成甲,{codes[1]}\n",
        existing="town_id,firm_id\nt,合成甲\n",
    ))  # fmt: skip
    assert list(data.existing["firm_id"]) == ["合成甲"]
    assert any("existing.csv" in w for w in data.warnings)


@pytest.mark.parametrize(
    ("stem", "text", "words"),
    [
        ("events", "firm_id,date,region,industry\na,2001-01-01,b,c\n", ["target"]),
        ("events", "firm_id,date,region,industry,target\na,2001-02-30,b,c,d\n", ["2", "date"]),
        ("events", "firm_id,date,region,industry,target\n\na,x,b,c,d\n", ["3", "date", "“x”"]),
        ("events", "firm_id,date,region,industry,target\n,2001-01-01,b,c,d\n", ["firm_id", "空"]),
        ("events", "firm_id,date,region,industry,target,amount\na,2001-01-01,b,c,d,NaN\n",
        ["amount"]),
        ("leads", "town_id,firm_id,date,outcome\nt,a,2001-01-01,won\n", ["outcome", "signed",
        "won"]),
        ("truth", "town_id,firm_id,gain\nt,a,inf\n", ["gain", "2"]),
        ("truth", "town_id,firm_id,gain\nt,a,-1\n", ["gain"]),
        ("truth", "town_id,firm_id,gain\nt,a,1,9\n", ["2", "列"]),
        ("existing", "firm_id\na\n", ["town_id"]),
    ],
)  # fmt: skip
def test_a_wrong_cell_names_file_line_and_column(
    tmp_path: Path, stem: str, text: str, words: list[str]
) -> None:
    with pytest.raises(FileError) as caught:
        read_dataset(folder_of(tmp_path, **{stem: text}))
    for word in (f"{stem}.csv", *words):
        assert word in caught.value.message


def test_a_missing_folder_and_two_files_of_a_kind(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="没有文件夹"):
        read_dataset(tmp_path / "nowhere")
    make.write_csv(tmp_path / "truth.csv", [["town_id", "firm_id", "gain"]])
    make.write_csv(tmp_path / "truth.tsv", [["town_id", "firm_id", "gain"]])
    with pytest.raises(FileError, match="只留一个"):
        read_dataset(tmp_path)


def test_a_wrong_town_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="magic"):
        read_dataset(folder_of(tmp_path, towns='{"id": "a", "name": "b", "magic": 1}\n'))


def perfect_run(data: Dataset, path: Path) -> dict[str, list[str]]:
    """The truth as a run, read back as score.py does."""
    rows = [
        (town, firm, rank, -float(rank))
        for town, gains in data.truth.items()
        for rank, firm in enumerate(sorted(gains, key=lambda f: -gains[f]), 1)
    ]
    write_run(path, rows, data)
    run: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            run.setdefault(row["town_id"], []).append(row["firm_id"])
    return run


def truth_as_written(folder: Path) -> dict[str, set[str]]:
    truth: dict[str, set[str]] = {}
    with (folder / "truth.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            truth.setdefault(row["town_id"], set()).add(row["firm_id"])
    return truth


@pytest.mark.slow
@shared
@pytest.mark.parametrize(
    ("name", "firms", "towns"), [("a_share", 3687, 211), ("venture_2010", 4474, 434)]
)
def test_the_shared_folders_lose_no_firm_and_score(
    tmp_path: Path, name: str, firms: int, towns: int
) -> None:
    data = read_dataset(SHARED / name)
    assert data.firms is not None
    assert len(data.firms.frame) == firms
    assert len(data.firms.rejects) == data.firms.duplicates == 0
    assert len(data.towns) == towns
    assert data.warnings == ()
    known = set(data.firms.frame[Col.FIRM_ID])
    for table in (data.events, data.existing, data.leads):
        assert set(table["firm_id"]) <= known
    run = perfect_run(data, tmp_path / "run.csv")
    assert {t: set(f) for t, f in run.items()} == truth_as_written(SHARED / name)
