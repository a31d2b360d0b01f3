"""Features against the plain words of what they mean: phrases one firm at a time, and formulas."""

import json
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from tests.worlds import firm, table, world
from zyz_match.domain import NUMBER_COLUMNS, Col
from zyz_match.matching import phrases as cutting
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.latent import LatentFeatures
from zyz_match.matching.phrases import Cut, cut, phrases, term_phrases
from zyz_match.matching.structure import StructureFeatures
from zyz_match.matching.words import WordFeatures

WORDING = (
    "一般项目：", "许可经营项目 ：", "经营范围\x1c:", "依法须经批准的项目", "凭有效许可证",
    "（除依法须经批准的项目外，凭营业执照依法自主开展经营活动）", "有限责任公司", "股份有限公司",
    "厂", "厂\n", "农民专业合作社", "铸铁管", "蜂蜜", "鑄鐵", "一目瞭然", "乾坤", "ＡＢ－Ｃ", "①",
    "℡", "…", "Ⅳ", "Σ.", "ß", "İ", "ﾞ", "가", "ᆨ", "𠀀", "<\u0338", ">", "e\u0301", "\u200b", "\x00",
    *";；、,，。.|/:：()（）[]【】“”\"《》*·- \t\n\u3000\x85\x1c",
)  # fmt: skip
texts = st.lists(
    st.one_of(st.sampled_from(WORDING), st.characters(exclude_categories=["Cs"])), max_size=12
).map("".join)
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=60, deadline=None)


def of(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Firms given as (scope, products, name)."""
    return table(*(firm(name, scope=scope, products=made) for scope, made, name in rows))


def grams_of(found: list[str]) -> Counter[str]:
    return Counter(p[i : i + n] for p in found for n in (1, 2) for i in range(len(p) - n + 1))


def counted(words: WordFeatures, firms: Cut, *rows: int) -> list[Counter[str]]:
    """The counts of rows low:high:step, by n-gram."""
    counts, names = words.counts(firms, *rows), words.get_feature_names_out()
    spans = zip(counts.starts[:-1], counts.starts[1:], strict=True)
    return [
        Counter({str(names[counts.grams[e]]): int(counts.times[e]) for e in range(low, high)})
        for low, high in spans
    ]


def texts_as(frame: pd.DataFrame, dtype: Any) -> pd.DataFrame:
    return frame.astype({c: dtype for c in frame if c not in NUMBER_COLUMNS})


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4))
def test_a_table_is_cut_as_every_firm_by_itself(rows: list[tuple[str, str, str]]) -> None:
    words = WordFeatures()
    firms = cut(of(*rows))
    assert counted(words.fit_cut(firms), firms) == [grams_of(phrases(*row)) for row in rows]


def test_phrases_leave_out_what_says_nothing_of_the_firm() -> None:
    scope = (
        "一般项目：铸件销售；ＡＢＣ鑄鐵（除依法须经批准的项目外，凭营业执照依法自主开展经营活动）"
    )
    found = phrases(scope, "生铁、硅铁", "合成铸造有限责任公司")
    assert found == ["生铁", "硅铁", "铸件销售", "abc铸铁", "合成铸造"]
    assert phrases("", "", "合成机械厂\n") == ["合成机械"]
    assert term_phrases("汽车·铸件/ＨＴ200") == ("汽车·铸件", "ht200")


@pytest.mark.parametrize("rows", [(0, 7), (2, 6), (1, 7, 3), (5, 5)])
def test_counts_are_of_the_rows_asked_for_whatever_the_blocks(
    rows: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = world().iloc[:7]
    plain = [
        grams_of(phrases(s, p, n))
        for s, p, n in zip(frame[Col.SCOPE], frame[Col.PRODUCTS], frame[Col.NAME], strict=True)
    ]
    whole = WordFeatures().fit(frame)
    monkeypatch.setattr(cutting, "BLOCK", 2)
    firms = cut(frame)
    words = WordFeatures().fit_cut(firms)
    assert len(firms.blocks) == 4
    assert counted(words, firms, *rows) == plain[slice(*rows)]
    np.testing.assert_array_equal(words.idf_, whole.idf_)
    assert words.get_feature_names_out().tolist() == whole.get_feature_names_out().tolist()
    assert words.mean_length_ == whole.mean_length_


def test_weights_follow_the_formula() -> None:
    frame = world()
    words = WordFeatures(k1=1.2, b=0.6)
    found = words.fit_transform(frame)
    each = [
        grams_of(phrases(s, p, n))
        for s, p, n in zip(frame[Col.SCOPE], frame[Col.PRODUCTS], frame[Col.NAME], strict=True)
    ]
    mean = np.mean([c.total() for c in each])
    for row, counts in enumerate(each):
        for gram, used in counts.items():
            df = sum(gram in c for c in each)
            idf = np.log1p((len(each) - df + 0.5) / (df + 0.5))
            norm = 1.2 * (1 - 0.6 + 0.6 * counts.total() / mean)
            column = words.column(gram)
            assert column is not None
            assert found[row, column] == pytest.approx(idf * used * 2.2 / (used + norm), rel=1e-5)
    assert found.nnz == sum(map(len, each))


def test_an_n_gram_counts_up_to_a_byte_and_the_length_in_full() -> None:
    frame = of(("铸" + "；铸" * 999, "", ""), ("铁", "", ""))
    firms = cut(frame)
    words = WordFeatures().fit_cut(firms)
    counts = words.counts(firms)
    assert counts.times.tolist() == [255, 1]
    assert counts.lengths.tolist() == [1000, 1]


def test_many_distinct_phrases_keep_apart() -> None:
    names = [chr(0x4E00 + i % 9000) + chr(0x4E00 + i // 5) + str(i) for i in range(30_000)]
    firms = cut(of(*((f"{name}；{name}；共有", "", "") for name in names)))
    (block,) = firms.blocks
    assert len(block.gram_starts) - 1 == len(names) + 1
    words = WordFeatures().fit_cut(firms)
    assert counted(words, firms, 29_990, 30_000) == [
        grams_of([name, name, "共有"]) for name in names[-10:]
    ]
    shared = words.column("共有")
    assert words.frequencies(firms)[shared] == len(names)


def test_later_firms_are_counted_by_the_words_of_the_first() -> None:
    words = WordFeatures().fit(of(("铸铁", "", ""), ("铸铁管", "", "")))
    later = cut(of(("铸铁；蜂蜜", "", ""), ("蜂蜜", "", "")))
    assert counted(words, later) == [grams_of(["铸铁"]), Counter()]
    assert words.counts(later).lengths.tolist() == [3, 0]
    used = dict(zip(words.get_feature_names_out(), words.frequencies(later), strict=True))
    assert used == {"铸": 1, "铁": 1, "铸铁": 1, "管": 0, "铁管": 0}


def test_terms_are_looked_up_in_order() -> None:
    words = WordFeatures().fit(of(("铸铁管", "", ""), ("生铁", "", "")))
    assert words.get_feature_names_out().tolist() == sorted(words.get_feature_names_out())
    assert words.column("铁管") is not None
    assert words.column("管铁") is None
    assert words.grams("铸铁；管") == ["铸", "铁", "铸铁", "管"]
    needed = words.columns_of("铸铁管")
    assert needed is not None
    assert set(words.get_feature_names_out()[needed]) == {"铸铁", "铁管"}
    assert words.columns_of("铸铁锅") is None
    assert words.columns_of("；") is None


@pytest.mark.parametrize("frame", [world().iloc[:0], of(("", "", ""), ("；", "。", "公司"))])
def test_firms_without_a_phrase_have_no_words(frame: pd.DataFrame) -> None:
    features = FirmFeatures()
    firms = features.fit_cut(frame)
    counts = features.words_.counts(firms)
    rows = features.latent_.rows(counts, features.words_.weights(counts))
    assert len(firms) == len(rows) == len(frame)
    assert not rows.any()
    assert features.words_.column("铸") is None
    assert not features.latent_.vector(np.empty(0, np.int64), np.empty(0, np.float32)).any()


@quick
@given(seeds, st.integers(2, 60), st.integers(2, 80))
def test_latent_rows_are_the_projected_words(seed: int, firms: int, grams: int) -> None:
    rng = np.random.default_rng(seed)
    held = rng.random((firms, grams)) < 0.2
    words = sparse.csr_matrix((rng.random((firms, grams)) * held).astype(np.float32))
    latent = LatentFeatures(n_components=8).fit(words)
    plain = normalize(words) @ latent.basis_
    clear = np.linalg.norm(plain, axis=1) > 1e-6  # the others are rounding
    np.testing.assert_allclose(
        latent.transform(words)[clear], normalize(plain)[clear], rtol=0, atol=1e-5
    )


def test_latent_directions_are_those_of_the_truncated_svd() -> None:
    rng = np.random.default_rng(4754)
    hidden = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 900))
    words = sparse.csr_matrix(np.where(rng.random((300, 900)) < 0.1, np.abs(hidden), 0))
    words = words.astype(np.float32)
    _, values, vectors = randomized_svd(normalize(words), 24, n_iter=4, random_state=0)
    plain = normalize(normalize(words) @ (vectors / values[:, None] ** 0.75).T)
    found = LatentFeatures(n_components=24).fit(words).transform(words)
    np.testing.assert_allclose(found @ found.T, plain @ plain.T, rtol=0, atol=0.01)


def test_the_basis_is_learnt_from_a_sample_and_other_words_say_nothing() -> None:
    words = sparse.csr_matrix(np.eye(6, 9, dtype=np.float32) + np.eye(6, 9, 1, dtype=np.float32))
    latent = LatentFeatures(n_components=2, sample=3).fit(words)
    kept = LatentFeatures(n_components=2).fit(words[::2])
    np.testing.assert_allclose(np.abs(latent.basis_), np.abs(kept.basis_), atol=1e-6)
    assert not latent.basis_[[7, 8]].any()
    assert latent.transform(words[:, [7, 8, 0, 1, 2, 3, 4, 5, 6]]).shape == (6, 2)


@quick
@given(
    st.lists(st.one_of(st.just(np.nan), st.integers(0, 5).map(float)), min_size=1, max_size=20),
    st.lists(st.one_of(st.just(np.nan), st.integers(-1, 7).map(float)), min_size=1, max_size=9),
)
def test_capacity_is_the_middle_place_among_the_fitted_firms(
    fitted: list[float], asked: list[float]
) -> None:
    features = StructureFeatures().fit(
        table(*(firm(str(i), capital=x) for i, x in enumerate(fitted)))
    )
    known = np.array([x for x in fitted if not np.isnan(x)])
    found = features.transform(table(*(firm(str(i), capital=x) for i, x in enumerate(asked))))
    plain = [
        np.nan if np.isnan(x) or not len(known) else np.mean((known < x) + 0.5 * (known == x))
        for x in asked
    ]
    np.testing.assert_allclose(found[:, 0], plain)


def test_marks_count_by_the_strongest_and_patents_raise_them() -> None:
    frame = table(
        firm("甲", marks="高新技术企业；专精特新小巨人"),
        firm("乙", marks="高新技术企业", patents=9.0),
        firm("丙", marks="自评优秀"),
        firm("丁", stock_code="000001"),
    )
    found = StructureFeatures().fit(frame).transform(frame)
    np.testing.assert_allclose(found[:, 1], [1.0, 0.625, np.nan, np.nan])
    np.testing.assert_allclose(found[:, 0], [np.nan, np.nan, np.nan, 0.8])


@pytest.mark.parametrize("dtype", [object, "str", pd.ArrowDtype(pa.string())])
def test_text_may_stay_in_arrow(dtype: Any) -> None:
    frame = world()
    plain = FirmFeatures().fit(frame).transform(frame).toarray()
    other = texts_as(frame, dtype)
    np.testing.assert_array_equal(FirmFeatures().fit(other).transform(other).toarray(), plain)


def test_features_come_back_from_their_parts() -> None:
    frame = world()
    features = FirmFeatures(n_components=5).fit(frame)
    meta, arrays = features.parts()
    read = {name: frozen(array.copy()) for name, array in arrays.items()}
    again = FirmFeatures.from_parts(json.loads(json.dumps(meta)), read)
    np.testing.assert_array_equal(
        again.transform(frame).toarray(), features.transform(frame).toarray()
    )
    assert again.words_.keys_ is read["keys"]
    assert again.get_feature_names_out().tolist() == features.get_feature_names_out().tolist()
    asked = [("球墨铸铁管件", 2.0)]
    assert again.words_.query(asked)[0].tolist() == features.words_.query(asked)[0].tolist()
