"""The divisions: what is shipped, what a name or an address means, how far apart places are."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zyz_match.region import CITY, COUNTY, PROVINCE, Division, Divisions

PLACES = Divisions.shipped()
SHARED = Path(__file__).parents[2] / "shared" / "data" / "reference" / "coordinates.csv"
any_code = st.sampled_from([division.code for division in PLACES.all()])


def found(text: str | None, within: str | None = None) -> str | None:
    division = PLACES.find(text, within)
    return None if division is None else PLACES.path(division.code)


def located(address: str | None) -> str | None:
    division = PLACES.locate(address)
    return None if division is None else PLACES.path(division.code)


def placed(*cells: str | None) -> str | None:
    division = PLACES.place(*cells)
    return None if division is None else PLACES.path(division.code)


def test_the_three_levels_have_their_counts() -> None:
    assert [len(PLACES.all(level)) for level in (PROVINCE, CITY, COUNTY)] == [34, 333, 2852]
    assert len(PLACES) == 34 + 333 + 2852


def test_every_division_hangs_on_a_wider_one_and_has_a_place() -> None:
    for division in PLACES.all():
        assert (division.parent is None) == (division.level == PROVINCE)
        assert division.parent is None or division.parent in PLACES
        assert division.longitude is not None
        assert division.latitude is not None
        assert 73 < division.longitude < 136
        assert 3 < division.latitude < 54


@pytest.mark.parametrize(
    ("code", "path", "longitude", "latitude"),
    [
        ("330113", "浙江省杭州市临平区", 120.30, 30.42),
        ("330114", "浙江省杭州市钱塘区", 120.49, 30.32),
        ("330110", "浙江省杭州市余杭区", 119.98, 30.27),
        ("610118", "陕西省西安市鄠邑区", 108.60, 34.11),
        ("140525", "山西省晋城市泽州县", 112.90, 35.62),
        ("429004", "湖北省仙桃市", 113.42, 30.36),
        ("441900", "广东省东莞市", 113.75, 23.02),
        ("442000", "广东省中山市", 113.39, 22.52),
        ("460400", "海南省儋州市", 109.58, 19.52),
        ("659001", "新疆维吾尔自治区石河子市", 86.08, 44.31),
        ("659012", "新疆维吾尔自治区白杨市", 83.63, 46.52),
        ("710000", "台湾省", 121.51, 25.04),
        ("810000", "香港特别行政区", 114.17, 22.28),
        ("820000", "澳门特别行政区", 113.54, 22.19),
    ],
)
def test_a_place_that_must_be_there(
    code: str, path: str, longitude: float, latitude: float
) -> None:
    division = PLACES[code]
    assert PLACES.path(code) == path
    assert division.longitude == pytest.approx(longitude, abs=0.05)
    assert division.latitude == pytest.approx(latitude, abs=0.05)


def test_labels_that_are_no_place_are_not_divisions() -> None:
    names = {division.name for division in PLACES.all()}
    assert not names & {"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"}
    assert PLACES["110101"].parent == "110000"
    for gone in ("330103", "350427", "610125", "540422"):
        assert gone not in PLACES


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("浙江", "浙江省"),
        ("浙江省", "浙江省"),
        ("内蒙古", "内蒙古自治区"),
        ("广西", "广西壮族自治区"),
        ("香港", "香港特别行政区"),
        ("深圳", "广东省深圳市"),
        ("晋城", "山西省晋城市"),
        ("泽州", "山西省晋城市泽州县"),
        ("泽州县", "山西省晋城市泽州县"),
        ("恩施州", "湖北省恩施土家族苗族自治州"),
        ("恩施", "湖北省恩施土家族苗族自治州"),
        ("恩施市", "湖北省恩施土家族苗族自治州恩施市"),
        ("积石山县", "甘肃省临夏回族自治州积石山保安族东乡族撒拉族自治县"),
        ("余杭", "浙江省杭州市余杭区"),
        ("户县", "陕西省西安市鄠邑区"),
        ("襄樊", "湖北省襄阳市"),
        ("襄樊市", "湖北省襄阳市"),
        ("神木县", "陕西省榆林市神木市"),
        ("萧山市", "浙江省杭州市萧山区"),
        ("吉林", "吉林省"),
        ("吉林市", "吉林省吉林市"),
        ("海南", "海南省"),
        ("朝阳", "辽宁省朝阳市"),
        ("浦东", "上海市浦东新区"),
        ("山西晋城", "山西省晋城市"),
        ("山西省-晋城市-泽州县", "山西省晋城市泽州县"),
        ("140525", "山西省晋城市泽州县"),
        (" 泽 州 县 ", "山西省晋城市泽州县"),
    ],
)
def test_a_name_means_a_division(text: str, path: str) -> None:
    assert found(text) == path


@pytest.mark.parametrize(
    "text", [None, "", "-", "—", "暂无", "城区", "朝阳区", "鼓楼", "通州", "火星", "999999"]
)
def test_an_ambiguous_or_empty_name_means_nothing(text: str | None) -> None:
    assert found(text) is None


def test_a_wider_division_makes_a_name_clear() -> None:
    assert found("城区", "晋城") == "山西省晋城市城区"
    assert found("朝阳区", "110000") == "北京市朝阳区"
    assert found("鼓楼", "南京市") == "江苏省南京市鼓楼区"
    assert found("泽州县", "浙江省") is None
    assert found("泽州县", "没有的地方") is None


ADDRESSES = [
    ("山西省晋城市泽州县南村镇浪井村", "山西省晋城市泽州县"),
    ("山西省晋城市城区凤台西街", "山西省晋城市城区"),
    ("山西省晋城市郊区", "山西省晋城市泽州县"),
    ("山西省  晋城市 - 阳城县", "山西省晋城市阳城县"),
    ("山西省泽州县巴公镇", "山西省晋城市泽州县"),
    ("山西省高平", "山西省晋城市高平市"),
    ("泽州县南村镇", "山西省晋城市泽州县"),
    ("泽州南村镇铸造园区", "山西省晋城市泽州县"),
    ("晋城市开发区金鼎路", "山西省晋城市"),
    ("晋城市泽州路123号", "山西省晋城市"),
    ("注册地址：山西省晋城市高平市", "山西省晋城市高平市"),
    ("公司位于山西省晋城市陵川县", "山西省晋城市陵川县"),
    ("浙江杭州余杭区文一西路969号", "浙江省杭州市余杭区"),
    ("浙江省浙江省杭州市", "浙江省杭州市"),
    ("杭州市下城区", "浙江省杭州市拱墅区"),
    ("济南市市中心医院旁", "山东省济南市"),
    ("深圳市南山区科技园", "广东省深圳市南山区"),
    ("广东省东莞市长安镇", "广东省东莞市"),
    ("顺德区大良街道", "广东省佛山市顺德区"),
    ("北京市北京市朝阳区建国路", "北京市朝阳区"),
    ("北京市市辖区海淀区", "北京市海淀区"),
    ("上海市浦东新区张江路", "上海市浦东新区"),
    ("中国（上海）自由贸易试验区临港新片区", "上海市"),
    ("天津塘沽", "天津市滨海新区"),
    ("河北区狮子林大街", "天津市河北区"),
    ("重庆渝北龙溪", "重庆市渝北区"),
    ("湖北省省直辖县级行政区划仙桃市干河", "湖北省仙桃市"),
    ("湖北恩施市", "湖北省恩施土家族苗族自治州恩施市"),
    ("云南大理市", "云南省大理白族自治州大理市"),
    ("贵州省黔东南州凯里市", "贵州省黔东南苗族侗族自治州凯里市"),
    ("伊犁州塔城地区塔城市", "新疆维吾尔自治区塔城地区塔城市"),
    ("内蒙古兴安盟乌兰浩特市", "内蒙古自治区兴安盟乌兰浩特市"),
    ("吉林省吉林市昌邑区", "吉林省吉林市昌邑区"),
    ("吉林市昌邑区", "吉林省吉林市昌邑区"),
    ("吉林省四平市公主岭市", "吉林省长春市公主岭市"),
    ("辽宁省朝阳市朝阳县", "辽宁省朝阳市朝阳县"),
    ("山东省莱芜市莱城区", "山东省济南市莱芜区"),
    ("陕西省西安市户县", "陕西省西安市鄠邑区"),
    ("江苏省苏州市昆山市花桥镇", "江苏省苏州市昆山市"),
    ("昆山花桥镇", "江苏省苏州市昆山市"),
    ("苏州工业园区星湖街", "江苏省苏州市"),
    ("新疆生产建设兵团", "新疆维吾尔自治区"),
    ("新疆生产建设兵团第八师石河子市北四路", "新疆维吾尔自治区石河子市"),
    ("新疆兵团第十四师", "新疆维吾尔自治区昆玉市"),
    ("新疆维吾尔自治区石河子市", "新疆维吾尔自治区石河子市"),
    ("甘肃省嘉峪关市", "甘肃省嘉峪关市"),
    ("香港特别行政区中环", "香港特别行政区"),
    ("台湾省台北市", "台湾省"),
]


@pytest.mark.parametrize(("address", "path"), ADDRESSES)
def test_an_address_lies_somewhere(address: str, path: str) -> None:
    assert located(address) == path


@pytest.mark.parametrize(
    "address",
    [None, "", "-", "北京东路668号", "中山大道西", "黄山路100号", "阿里巴巴西溪园区", "晋城市场",
     "和平小区1号", "东方广场", "城区凤台街", "ABC"],
)  # fmt: skip
def test_a_street_or_a_building_is_not_a_place(address: str | None) -> None:
    assert located(address) is None


def test_columns_win_over_the_address() -> None:
    assert placed("山西省", "晋城市", "泽州县", "-") == "山西省晋城市泽州县"
    assert placed("山西省", "太原市", "", "山西省晋城市泽州县") == "山西省太原市"
    assert placed("浙江省", "晋城市", "", "山西省晋城市") == "浙江省"


def test_the_address_goes_deeper_than_the_columns() -> None:
    assert placed("山西省", "-", None, "晋城市高平市") == "山西省晋城市高平市"
    assert placed("山西", "晋城", "", "城区凤台街") == "山西省晋城市城区"
    assert placed("", "", "", "深圳市南山区") == "广东省深圳市南山区"
    assert placed("湖北省", "省直辖县级行政区划", "仙桃市", "") == "湖北省仙桃市"
    assert placed("北京市", "市辖区", "海淀区", "") == "北京市海淀区"


def test_the_address_clears_up_an_ambiguous_column() -> None:
    assert placed("", "", "朝阳区", "北京市建国路") == "北京市朝阳区"
    assert placed("", "", "朝阳区", "") is None
    assert placed("-", "-", "-", "-") is None


def test_the_names_of_the_wider_divisions() -> None:
    assert PLACES.province("140525") == "山西省"
    assert PLACES.city("140525") == "晋城市"
    assert PLACES.city("110101") == "北京市"
    assert PLACES.city("429004") == "仙桃市"
    assert PLACES.city("140000") is None
    assert PLACES.province("000000") is None
    assert PLACES.city("000000") is None


def test_a_division_contains_itself_and_what_lies_below() -> None:
    assert PLACES.contains("140000", "140525")
    assert PLACES.contains("140525", "140525")
    assert not PLACES.contains("140525", "140500")
    assert not PLACES.contains("000000", "140500")
    assert not PLACES.contains("140000", "000000")


def test_distances_are_those_of_the_globe() -> None:
    assert PLACES.distance_km("110000", "310000") == pytest.approx(1067, abs=10)
    assert PLACES.distance_km("140500", "410800") == pytest.approx(42, abs=15)  # 晋城 - 焦作
    assert PLACES.distance_km("140500", "000000") is None


def test_a_division_without_a_coordinate_lies_at_its_parent() -> None:
    few = Divisions(
        [
            Division("140000", "山西省", PROVINCE, None, 112.5, 37.9),
            Division("140500", "晋城市", CITY, "140000", None, None),
            Division("710000", "台湾省", PROVINCE, None, None, None),
        ]
    )
    assert few.distance_km("140000", "140500") == 0
    assert few.distance_km("140000", "710000") is None


@given(any_code, any_code)
def test_distance_is_symmetric_and_nothing_lies_beyond_the_country(a: str, b: str) -> None:
    there, back = PLACES.distance_km(a, b), PLACES.distance_km(b, a)
    assert there is not None
    assert there == pytest.approx(back)
    assert 0 <= there < 5600
    assert PLACES.distance_km(a, a) == pytest.approx(0)


@given(any_code)
def test_a_full_path_leads_back_to_its_division(code: str) -> None:
    path = PLACES.path(code)
    for division in (PLACES.find(path), PLACES.locate(path + "某某路1号"), PLACES.find(code)):
        assert division is not None
        assert division.code == code


@given(st.text(max_size=40))
def test_any_text_is_a_division_or_nothing(text: str) -> None:
    for division in (PLACES.find(text), PLACES.locate(text), PLACES.place(text, text, text, text)):
        assert division is None or division.code in PLACES


def test_the_shipped_divisions_are_read_once() -> None:
    assert Divisions.shipped() is PLACES


@pytest.mark.skipif(not SHARED.is_file(), reason="shared/data/reference is not beside the checkout")
def test_codes_of_the_shared_coordinates_lie_where_that_table_says() -> None:
    with SHARED.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["adcode"] in PLACES and row["longitude"]]
    assert len(rows) == 3074
    moved = {
        row["adcode"]
        for row in rows
        if abs(float(row["longitude"]) - (PLACES[row["adcode"]].longitude or 0)) > 0.001
        or abs(float(row["latitude"]) - (PLACES[row["adcode"]].latitude or 0)) > 0.001
    }
    assert moved == {"330110"}  # the seat of 余杭区 moved when 临平区 was split off in 2021
