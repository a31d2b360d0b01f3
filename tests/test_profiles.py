import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zyz_match.domain import NEEDS, ROLES, ChainSegment, Product, Town
from zyz_match.errors import FileError, InputError, NotFoundError, ProfileError
from zyz_match.profiles import read_towns, resolve_town, town_from, town_to

SHIPPED = Path(__file__).parents[1] / "data" / "towns"
LEAST = {"id": "t", "name": "某镇"}
FULL: dict[str, Any] = {
    "id": "zezhou",
    "name": "泽州铸造",
    "city": "晋城市",
    "products": ["井盖", {"term": "管件", "weight": 3}],
    "industries": ["3391"],
    "anchors": ["91140500011000000W"],
    "chain": [{"segment": "生铁", "role": "upstream", "need": "weak", "terms": ["生铁"]}],
    "preferences": {"min_capital": 500, "tags": ["a", None, True, {"b": 1.5}]},
}

text = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=9)
texts = st.lists(text, max_size=3).map(tuple)
segments = st.builds(
    ChainSegment, text, st.sampled_from(ROLES), st.sampled_from([None, *NEEDS]), texts, texts
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
towns = st.builds(
    Town, text, text, text, text, text, text, text,
    st.lists(st.builds(Product, text, st.floats(1e-9, 1e9)), max_size=3).map(tuple),
    texts, texts, texts, texts,
    st.lists(segments, max_size=3, unique_by=lambda s: s.segment).map(tuple),
    st.dictionaries(text, plain, max_size=3),
)  # fmt: skip


@pytest.mark.slow
@given(towns)
def test_a_town_written_out_is_read_back_the_same(town: Town) -> None:
    assert town_from(town_to(town)) == town
    assert town_from(json.loads(json.dumps(town_to(town)))) == town


def test_what_is_empty_is_not_written() -> None:
    assert town_to(town_from(LEAST)) == LEAST
    assert town_to(town_from(FULL)) == FULL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"product": []}, "不认识的键“product”。是不是“products”？"),
        ({"名称": "x"}, "不认识的键“名称”。可用的键：id、name"),
        (
            {"chain": [{"segment": "a", "term": []}]},
            "chain 第 1 项 中有不认识的键“term”。是不是“terms”",
        ),
        ({"products": [{"term": "a", "wieght": 1}]}, "是不是“weight”"),
        ({"products": [{"weight": 1}]}, "products 第 1 项 的 term"),
        ({"products": [{"term": "a", "weight": 0}]}, "大于 0"),
        ({"products": [{"term": "a", "weight": float("nan")}]}, "大于 0"),
        ({"products": [{"term": "a", "weight": float("inf")}]}, "大于 0"),
        ({"products": [{"term": "a", "weight": 10**400}]}, "大于 0"),
        ({"products": [{"term": "a", "weight": True}]}, "大于 0"),
        ({"products": ["a", ""]}, "products 第 2 项 不能为空"),
        ({"products": "井盖"}, "products 应为列表"),
        ({"products": ["a"] * 1001}, "最多 1000 项"),
        ({"industries": [3391]}, "请加引号"),
        ({"chain": [{"segment": "a"}, {"segment": "a"}]}, "环节“a”出现了两次"),
        ({"chain": [{"segment": "a", "role": "middle"}]}, "upstream、core、downstream、support"),
        ({"chain": [{"segment": "a", "need": "high"}]}, "missing、weak、present"),
        ({"chain": [{"role": "core"}]}, "segment"),
        ({"chain": {}}, "chain 应为列表"),
        ({"id": ""}, "id 不能为空"),
        ({"id": "a b"}, "空格或斜线"),
        ({"id": "../a"}, "空格或斜线"),
        ({"id": "x" * 65}, "最多 64 字"),
        ({"name": "a\x00"}, "控制字符"),
        ({"name": "a\ud800"}, "控制字符"),
        ({"name": " a"}, "首尾有空格"),
        ({"name": "长" * 201}, "最多 200 字"),
        ({"name": None}, "name 应为文字"),
        ({"preferences": []}, "preferences"),
        ({"preferences": {"a": float("inf")}}, "preferences.a 应为有限数"),
        ({"preferences": {"a": {1, 2}}}, "preferences.a"),
        ({1: "x"}, "不认识的键“1”"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[Any, Any], message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        town_from(LEAST | changes)
    assert message in caught.value.message


def test_a_profile_without_its_keys_or_that_is_none_is_refused() -> None:
    with pytest.raises(ProfileError, match="必填的 name"):
        town_from({"id": "a"})
    with pytest.raises(ProfileError, match="结构"):
        town_from(["id"])  # type: ignore[arg-type]
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    with pytest.raises(ProfileError, match="嵌套过深"):
        town_from(LEAST | {"preferences": {"a": deep}})


# files -------------------------------------------------------------------------------------


def test_the_shipped_towns_are_read_from_their_folder() -> None:
    found = read_towns(SHIPPED)
    assert len(found) == len(list(SHIPPED.glob("*.yaml"))) > 0
    for town in found:
        assert town_from(town_to(town)) == town


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_files_of_every_usual_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yml").write_text("id: a\nname: 泽州铸造\n", encoding=encoding)
    assert read_towns(tmp_path / "a.yml") == [Town("a", "泽州铸造")]
    lines = "".join(json.dumps(LEAST | {"id": i}, ensure_ascii=False) + "\r\n\n" for i in "ab")
    (tmp_path / "a.jsonl").write_bytes(lines.encode(encoding))
    assert [t.id for t in read_towns(tmp_path / "a.jsonl")] == ["a", "b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id: a\nname: b\nname: c\n", "第 3 行：键“name”出现了两次"),
        ("id: &x a\nname: *x\n", "别名"),
        ("a: &a [x,x]\nb: &b [*a,*a]\n", "别名"),
        ("id: [\n", "不是正确的 YAML"),
        ("id: !!python/object:os.system a\n", "不是正确的 YAML"),
        ("id: 2024-13-45\nname: a\n", "不是正确的 YAML"),
        ("id: " + "9" * 5000 + "\nname: a\n", "不是正确的 YAML"),
        ("id: a\nname: \x01\n", "不是正确的 YAML"),
        ("[" * 5000, "不是正确的 YAML"),
        ("? [a, b]\n: c\n", "不"),
        ("", "结构"),
        ("id: a\nname: 0512\n", "请加引号"),
        ("id: a\nname: b\npreferences: {since: 2024-01-01}\n", "请加引号"),
        ("id: a\nname: b\npreferences: {x: .inf}\n", "有限数"),
    ],
)
def test_a_wrong_yaml_file_is_refused_with_its_path(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "town.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_towns(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "id": "b", "name": "c"}', "键“id”出现了两次"),
        ('{"id": "a", "name": "b", "preferences": {"x": NaN}}', "有限数"),
        ('{"id": "a", "name": "b", "preferences": {"x": 1e999}}', "有限数"),
        ('{"id": "a"', "不是正确的 JSON"),
        ("[" * 100_000, "不是正确的 JSON"),
        ('{"id": "\\ud800", "name": "b"}', "控制字符"),
        ("[]", "结构"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "towns.jsonl"
    path.write_text(f"{json.dumps(LEAST)}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read_towns(path)
    assert message in caught.value.message
    assert "第 3 行" in caught.value.message


def test_a_file_with_an_id_of_dots_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("id: '..'\nname: b\n", "utf-8")
    with pytest.raises(ProfileError, match="只有点"):
        read_towns(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("id: a..\nname: b\n", "utf-8")
    assert [t.id for t in read_towns(tmp_path / "a.yaml")] == ["a.."]


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("id: a\nname: b\n")
    with pytest.raises(ProfileError, match="id“a”出现了两次"):
        read_towns(tmp_path)


def test_what_is_no_profile_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"#" * 1_000_001)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\x00\x81")
    (tmp_path / "a.txt").write_text("id: a")
    (tmp_path / "empty").mkdir()
    for name in ("big.yaml", "binary.yaml", "a.txt", "empty", "nowhere.yaml", "no\0.yaml"):
        with pytest.raises(FileError):
            read_towns(tmp_path / name)


# names -------------------------------------------------------------------------------------

TOWNS = [
    Town("casting", "泽州精密铸造"),
    Town("pear", "高平黄梨"),
    Town("silk", "高平潞绸专业镇"),
    Town("dup-1", "同名"),
    Town("dup-2", "同名的另一个"),
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("casting", "casting"), ("CASTING", "casting"), ("泽州精密铸造", "casting"),
        ("铸造", "casting"), ("泽州精密铸造专业镇", "casting"), ("铸造专业镇", "casting"),
        ("高平潞绸", "silk"), ("潞绸", "silk"), ("高平 黄梨", "pear"), ("同名", "dup-1"),
        ("鑄造", "casting"),
    ],
)  # fmt: skip
def test_a_town_is_found_by_any_part_that_names_it_alone(asked: str, found: str) -> None:
    assert resolve_town(asked, TOWNS).id == found


def test_a_part_of_several_names_offers_them() -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve_town("高平", TOWNS)
    assert caught.value.details == ("高平黄梨（pear）", "高平潞绸专业镇（silk）")


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve_town("高平黄桃", TOWNS)
    assert caught.value.details[0] == "高平黄梨（pear）"
    with pytest.raises(NotFoundError, match="zyz-match init"):
        resolve_town("任何", [])
    with pytest.raises(InputError):
        resolve_town(" ", TOWNS)
