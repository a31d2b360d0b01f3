import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zyz_match.text import has_controls, name_key, normalise, pattern_of, same_name, tidy


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("", ""),
        ("plain ascii", "plain ascii"),
        ("已经是简体", "已经是简体"),
        ("東莞市紡織機械", "东莞市纺织机械"),
        ("ＡＢＣ　１２３（中国）", "ABC 123(中国)"),
        ("  a\t\r\n b  ", "a b"),
        ("零\u200b宽\ufeff与\x00控\x07制", "零宽与控制"),
        ("\ud800半个", "半个"),
        ("㈱", "(株)"),
    ],
)
def test_normalise_gives_one_spelling(raw: str, wanted: str) -> None:
    assert normalise(raw) == wanted


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("合成示例（北京）有限公司", "合成示例(北京)有限公司"),
        ("合成示例〔北京〕有限公司", "合成示例【北京】有限公司"),
        ("合成 示例 有限公司", "合成示例有限公司"),
        ("合成ABC有限公司", "合成ａｂｃ有限公司"),
        ("合成機械有限公司", "合成机械有限公司"),
        ("Example Ventures", "EXAMPLE  VENTURES "),
    ],
)
def test_spellings_of_one_company_share_a_key(a: str, b: str) -> None:
    assert name_key(a) == name_key(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("合成示例（北京）有限公司", "合成示例（上海）有限公司"),
        ("A&B Example", "AB Example"),
        ("Example, Inc", "Example Inc"),
    ],
)
def test_other_companies_have_other_keys(a: str, b: str) -> None:
    assert name_key(a) != name_key(b)


def test_same_name_keeps_case_and_latin_spaces() -> None:
    assert same_name("合成（示例） 有限公司") == "合成(示例)有限公司"
    assert same_name("Example One") == "Example One"
    assert same_name("Example One") != same_name("EXAMPLE One")


def test_tidy_changes_nothing_but_spaces_and_controls() -> None:
    assert tidy("（合成）　公司\u200b ") == "（合成） 公司"
    assert tidy("東莞，ＡＢＣ") == "東莞，ＡＢＣ"
    assert has_controls("a\u200bb")
    assert not has_controls("a b\n")


@given(st.text(alphabet=st.characters(codec=None)))
def test_normalise_is_total_and_leaves_nothing_loose(text: str) -> None:
    once = normalise(text)
    assert once == once.strip()
    assert "  " not in once
    assert not has_controls(once)
    assert unicodedata.is_normalized("NFKC", once)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("合成（山西）", "合成(山西)铸造"), ("合成(山西)", "合成（山西）铸造"),
        ("cnc", "ＣＮＣ加工"), ("鑄造", "铸造"), ("铸造", "鑄造"), ("A b", "ａ　B"),
        ("[1+1]", "[1+1]"), ("\\d", "\\d"),
    ],
)  # fmt: skip
def test_a_pattern_finds_every_spelling_of_its_signs(asked: str, text: str) -> None:
    held = pa.array([text, "别的"])
    assert pc.match_substring_regex(held, pattern_of(asked)).to_pylist() == [True, False]


@given(st.text(max_size=30))
def test_a_key_of_a_key_is_itself_up_to_folding(name: str) -> None:
    key = name_key(name)
    assert " " not in key
    assert name_key(key) == name_key(name_key(key))
