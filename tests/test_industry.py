"""The industry tree: its counts, what a text means, how near two codes are."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zyz_match.industry import IndustryTree
from zyz_match.shipped import data_folder

TREE = IndustryTree.shipped()
SHARED = Path(__file__).parents[2] / "shared" / "data" / "reference" / "gbt4754_2017.csv"
any_code = st.sampled_from(TREE.codes())


def test_the_four_levels_have_their_counts() -> None:
    counts = [len(TREE.codes(level)) for level in (1, 2, 3, 4)]
    assert counts == [20, 97, 473, 1381]
    assert len(TREE) == sum(counts)


def test_every_code_hangs_on_a_code_one_level_up_that_it_begins_with() -> None:
    for code in TREE.codes():
        parent = TREE.parent(code)
        if parent is None:
            assert TREE.level(code) == 1
        else:
            assert TREE.level(parent) == TREE.level(code) - 1
            assert code in TREE.children(parent)
            assert TREE.level(code) == 2 or code.startswith(parent)


def test_a_folded_group_is_there_beside_its_only_class() -> None:
    assert TREE.children("134") == ("1340",)
    assert TREE.name("134") == TREE.name("1340") == "制糖业"
    assert TREE.ancestors("1200") == ("1200", "120", "12", "B")


def test_the_aircraft_class_is_where_the_standard_has_it() -> None:
    assert TREE.name("374") == "航空、航天器及设备制造"
    assert TREE.children("374") == ("3741", "3742", "3743", "3744", "3749")
    assert TREE.name("3741") == "飞机制造"


def test_names_carry_no_spaces_and_one_kind_of_bracket() -> None:
    for code in TREE.codes():
        name = TREE.name(code)
        assert name == name.strip()
        assert not set(name) & set("() ")


def test_the_shipped_tree_is_read_once() -> None:
    assert IndustryTree.shipped() is TREE


def test_the_data_folder_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (data_folder() / "reference" / "gbt4754_2017.csv").is_file()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("C", "C"),
        ("c33", "33"),
        ("33", "33"),
        ("C33", "33"),
        ("339", "339"),
        ("3391", "3391"),
        ("C3391", "3391"),
        ("Ｃ３３９１", "3391"),
        ("3391.0", "3391"),
        (" C3391 黑色金属铸造 ", "3391"),
        ("C3391黑色金属铸造", "3391"),
        ("C制造业", "C"),
        ("制造业", "C"),
        ("金属制品", "33"),
        ("金属制品业", "33"),
        ("农林牧渔业", "A"),
        ("农、林、牧、渔业", "A"),
        ("农/林/牧/渔业", "A"),
        ("羽毛(绒)加工及制品制造", "194"),
        ("制造业-金属制品业-黑色金属铸造", "3391"),
        ("制造业>金属制品业>铸造及其他金属制品制造", "339"),
        ("金属制品业>...", "33"),
        ("制造业-金属制品业-铸造", "33"),
        ("C-33-339-3391", "3391"),
        ("制造业;批发业", "51"),
        ("其他建筑安装业", "499"),
        ("其他建筑安装", "4999"),
    ],
)
def test_a_text_means_a_code(text: str, code: str) -> None:
    assert TREE.find(text) == code


def test_a_name_of_two_levels_means_the_deeper_one() -> None:
    assert TREE.find("教育") == "83"
    assert TREE.find("制糖业") == "1340"
    assert TREE.find("国际组织") == "9700"
    assert TREE.find("燃气生产和供应业") == "451"


def test_the_name_wins_over_a_code_of_the_2011_edition() -> None:
    assert TREE.find("C3660 汽车零部件及配件制造") == "3670"
    assert TREE.find("C3130 黑色金属铸造") == "3391"
    assert TREE.find("C3391 一个不存在的名称") == "3391"


def test_digits_are_taken_as_written_and_only_a_letter_restores_a_zero() -> None:
    assert TREE.find("111") == "111"
    assert TREE.find("121") is None  # could only be 0121, but nothing says so
    assert TREE.find("A111") == "0111"
    assert TREE.find("B6") == "06"


@pytest.mark.parametrize(
    "text",
    [None, "", " ", "-", "铸造", "其他", "A3391", "9999", "12345", "1", "A股", "E时代", "、业"],
)
def test_what_is_no_industry_is_not_guessed(text: str | None) -> None:
    assert TREE.find(text) is None


@given(any_code)
def test_every_code_and_its_name_find_their_way_back(code: str) -> None:
    assert TREE.find(code) == code
    by_name = TREE.find(TREE.name(code))
    assert by_name is not None
    assert code in TREE.ancestors(by_name)
    section = TREE.ancestors(code)[-1]
    both = f"{section}{'' if code == section else code} {TREE.name(code)}"
    assert TREE.find(both) == by_name


@given(st.text(max_size=30))
def test_any_text_is_a_code_or_nothing(text: str) -> None:
    found = TREE.find(text)
    assert found is None or found in TREE


def test_nearness_follows_the_level_of_the_common_ancestor() -> None:
    assert TREE.nearness("3391", "3391") == 1
    assert TREE.nearness("3391", "3392") == 0.75
    assert TREE.nearness("3391", "3311") == 0.5
    assert TREE.nearness("3391", "3411") == 0.25
    assert TREE.nearness("3391", "0111") == 0


def test_a_coarser_code_lies_between_near_and_exact() -> None:
    assert TREE.nearness("33", "3391") == 0.625
    assert TREE.nearness("339", "3391") == 0.875
    assert TREE.nearness("C", "3391") == 0.375
    assert TREE.nearness("33", "34") == 0.25
    assert TREE.nearness("134", "1340") == 1  # a single class is all that the group is


@given(any_code, any_code)
def test_nearness_is_symmetric_and_bounded(a: str, b: str) -> None:
    value = TREE.nearness(a, b)
    assert 0 <= value <= 1
    assert value == TREE.nearness(b, a)
    assert TREE.nearness(a, a) == 1
    assert (value == 0) == (TREE.ancestors(a)[-1] != TREE.ancestors(b)[-1])


@given(any_code, any_code, any_code)
def test_a_deeper_common_ancestor_is_never_less_near(a: str, b: str, c: str) -> None:
    def depth(x: str, y: str) -> int:
        return len(set(TREE.ancestors(x)) & set(TREE.ancestors(y)))

    if depth(a, b) > depth(a, c):
        assert TREE.nearness(a, b) >= TREE.nearness(a, c)


@given(any_code, any_code, any_code)
def test_two_codes_are_as_near_as_their_ways_to_a_third(a: str, b: str, c: str) -> None:
    if len(TREE.children(b)) == 0:  # through a class: what both share with it, they share
        assert TREE.nearness(a, c) >= min(TREE.nearness(a, b), TREE.nearness(b, c)) - 0.125


@given(any_code, st.lists(any_code, max_size=8))
def test_a_row_holds_the_nearness_to_each(code: str, targets: list[str]) -> None:
    row = TREE.row(code, targets)
    assert row == [TREE.nearness(code, target) for target in targets]
    assert TREE.nearness_to_any(code, targets) == max(row, default=0.0)


def test_an_unknown_code_is_an_error() -> None:
    for ask in (TREE.name, TREE.parent, TREE.level, TREE.ancestors, TREE.children):
        with pytest.raises(KeyError):
            ask("0000")
    assert "0000" not in TREE
    assert "3391" in TREE


@pytest.mark.skipif(not SHARED.is_file(), reason="shared/data/reference is not beside the checkout")
def test_the_shared_table_differs_only_as_the_readme_says() -> None:
    with SHARED.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    codes = {row["code"] for row in rows}
    added = set(TREE.codes()) - codes
    assert codes <= set(TREE.codes())
    assert {code for code in added if len(code) != 3} == {"3741"}
    assert sum(len(code) == 3 for code in added) == 199
    named = {row["code"]: row["name"].strip() for row in rows if row["name"] != "飞机制造"}
    wide = str.maketrans("()", "（）")
    assert [c for c, name in named.items() if TREE.name(c) != name.translate(wide)] == []
