"""Makers of golden files in the shapes of the registries' exports.

Every firm in them is synthetic (合成): invented here, with a valid check digit in its code.
"""

import csv
import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter
import xlwt
from stdnum.cn import uscc

Row = Sequence[Any]

# 企查查 batch query, 41 columns
QCC_HEADER = [
    "原文件导入名称",
    "系统匹配企业名称",
    "登记状态",
    "法定代表人",
    "注册资本",
    "实缴资本",
    "成立日期",
    "统一社会信用代码",
    "企业地址",
    "所属省份",
    "所属城市",
    "所属区县",
    "电话",
    "更多电话",
    "邮箱",
    "更多邮箱",
    "企业（机构）类型",
    "纳税人识别号",
    "注册号",
    "组织机构代码",
    "参保人数",
    "参保人数所属年报",
    "营业期限",
    "国标行业门类",
    "国标行业大类",
    "国标行业中类",
    "国标行业小类",
    "企查查行业门类",
    "企查查行业大类",
    "企查查行业中类",
    "企查查行业小类",
    "企业规模",
    "曾用名",
    "英文名",
    "官网",
    "通信地址",
    "企业简介",
    "经营范围",
    "登记机关",
    "纳税人资质",
    "最新年报年份",
]
TYC_HEADER = [
    "公司名称",
    "经营状态",
    "法定代表人",
    "注册资本",
    "实缴资本",
    "成立日期",
    "统一社会信用代码",
    "注册地址",
    "所属省份",
    "所属城市",
    "所属区县",
    "电话",
    "更多电话",
    "邮箱",
    "更多邮箱",
    "公司类型",
    "纳税人识别号",
    "注册号",
    "组织机构代码",
    "参保人数",
    "所属行业",
    "曾用名",
    "英文名",
    "网址",
    "经营范围",
]
AQC_HEADER = [
    "企业名称",
    "经营状态",
    "法定代表人",
    "注册资本",
    "成立日期",
    "统一社会信用代码",
    "所属省份",
    "所属城市",
    "所属区县",
    "有效手机号",
    "更多电话",
    "邮箱",
    "企业类型",
    "所属行业",
    "注册地址",
    "经营范围",
]
QCC_NOTICE = "合成文件：以下数据由程序生成，仅供测试，格式仿照企查查导出"
AQC_NOTICE = ("合成文件：格式仿照爱企查导出", "导出时间：2024-01-01")


def make_uscc(number: int, division: str = "140500") -> str:
    """A synthetic 统一社会信用代码 with a valid check digit."""
    start = f"91{division}{number:09d}"
    return start + str(uscc.calc_check_digit(start))


def firm(number: int, **changes: str) -> dict[str, str]:
    """The facts of one synthetic firm under the headers of all exports."""
    code = make_uscc(number)
    name = f"晋城合成示例{number}号机械有限公司"
    facts = {
        "企业名称": name, "公司名称": name, "系统匹配企业名称": name,
        "原文件导入名称": f"示例{number}",
        "登记状态": "存续", "经营状态": "存续（在营、开业、在册）", "法定代表人": f"合成人{number}",
        "注册资本": "1,000万元", "实缴资本": "500万元人民币", "成立日期": "2010-05-06",
        "统一社会信用代码": code, "纳税人识别号": code, "所属省份": "山西省", "所属城市": "晋城市",
        "所属区县": "泽州县", "企业地址": f"山西省晋城市泽州县示例路{number}号",
        "注册地址": f"山西省晋城市泽州县示例路{number}号", "电话": "0356-0000000",
        "更多电话": "0356-0000001;0356-0000002", "有效手机号": "00000000000",
        "邮箱": "a@example.com",
        "更多邮箱": "-", "企业（机构）类型": "有限责任公司(自然人投资或控股)",
        "公司类型": "有限责任公司",
        "企业类型": "有限责任公司", "参保人数": "120", "营业期限": "2010-05-06 至 无固定期限",
        "国标行业门类": "制造业", "国标行业大类": "金属制品业",
        "国标行业中类": "铸造及其他金属制品制造",
        "国标行业小类": "黑色金属铸造", "所属行业": "金属制品业", "企业规模": "小型",
        "曾用名": "合成老厂,\n示例铸造厂", "官网": "www.example.com", "网址": "www.example.com",
        "经营范围": "铸件制造；机械加工；金属制品销售", "最新年报年份": "2023",
    }  # fmt: skip
    return facts | changes


def rows_of(header: Sequence[str], firms: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """The firms as rows under a header; what a firm lacks is "-"."""
    return [[f.get(h, "-") for h in header] for f in firms]


def qcc_rows(firms: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """企查查: the notice, the header in row 2, the firms."""
    return [[QCC_NOTICE], list(QCC_HEADER), *rows_of(QCC_HEADER, firms)]


def tyc_rows(firms: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """天眼查: the notice, the header in row 2, the firms; its sheet is 高级搜索."""
    return [["合成文件：格式仿照天眼查导出"], list(TYC_HEADER), *rows_of(TYC_HEADER, firms)]


def aqc_rows(firms: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """爱企查: two lines of notice, the header in row 3, the firms; often XLS."""
    return [*([n] for n in AQC_NOTICE), list(AQC_HEADER), *rows_of(AQC_HEADER, firms)]


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Row]], **options: Any) -> Path:
    """A workbook; strings stay strings, numbers and dates become such cells."""
    with xlsxwriter.Workbook(
        str(path), {"strings_to_formulas": False, "default_date_format": "yyyy-mm-dd", **options}
    ) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return path


def write_xls(path: Path, sheets: Mapping[str, Sequence[Row]]) -> Path:
    """An old binary workbook."""
    book = xlwt.Workbook(encoding="utf-8")
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write(number, column, cell)
    book.save(str(path))
    return path


def write_csv(
    path: Path, rows: Sequence[Row], charset: str = "utf-8", delimiter: str = ","
) -> Path:
    """A text table."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(charset))
    return path


def write_jsonl(path: Path, objects: Sequence[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    lines = (json.dumps(o, ensure_ascii=False) for o in objects)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def many(count: int, seed: int = 0) -> list[list[str]]:
    """A large synthetic export: 30 columns with realistic repetition and lengths."""
    pick = random.Random(seed)
    header = [h for h in QCC_HEADER if not h.startswith(("企查查", "原文件"))][:30]
    header[-1] = "经营范围"
    words = [f"示例产品{i}的研发、生产和销售" for i in range(3000)]
    trades = ["黑色金属铸造", "建筑陶瓷制品制造", "家具制造业", "食品制造业", "批发业", "C3391"]
    places = [("山西省", "晋城市", "泽州县"), ("广东省", "佛山市", "南海区"), ("浙江省", "杭州市",
    "西湖区"),
              ("江苏省", "苏州市", "昆山市"), ("山东省", "青岛市", "黄岛区")]  # fmt: skip
    rows: list[list[str]] = [header]
    for number in range(count):
        province, city, county = pick.choice(places)
        facts = firm(
            number, 所属省份=province, 所属城市=city, 所属区县=county,
            注册资本=f"{pick.randint(1, 9999):,}万元", 参保人数=str(pick.randint(0, 900)),
            成立日期=f"{pick.randint(1990, 2023)}-05-{pick.randint(1, 28):02d}",
            企业地址=f"{province}{city}{county}合成路{number}号", 国标行业小类=pick.choice(trades),
            经营范围="；".join(pick.choices(words, k=10)), 电话=f"0000-{number:07d}",
            邮箱=f"s{number}@example.com", 曾用名="-",
        )  # fmt: skip
        rows.append([facts.get(h, "-") for h in header])
    return rows
