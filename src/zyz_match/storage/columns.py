"""Which header means what: the alias table of registry exports, official lists and our own names.

A header is compared without case, width, spaces, line breaks, quotes and stars; what stands in
brackets is looked at as part of the name first and as a unit (`注册资本(万元)`) after that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zyz_match.domain import MARKS, Col
from zyz_match.text import normalise

Contact = Literal["phone", "mail", "person"]
Target = Col | Contact | None

ROW_NUMBER, REASON = "行号", "原因"  # the first two columns of a rejects file
REFUSED = "退回原因"  # the second one where 原因 is a column of the file itself
NOT_MATCHED = "未匹配到相关企业"


@dataclass(frozen=True, slots=True)
class Field:
    """One meaning a column can have: where it goes, and the headers that say so."""

    target: Target
    aliases: tuple[str, ...]
    rank: int = 0  # among fields of one target the lowest rank speaks first
    mark: str = ""  # the qualification a yes/no column stands for


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What one column of the file was taken for, with a few of its values."""

    header: str
    target: Target
    samples: tuple[str, ...]


def _aliases(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_GIANT, _SPECIAL, _HIGH, _INNOVATIVE, _SCIENCE = MARKS

FIELDS: tuple[Field, ...] = (
    Field(Col.FIRM_ID, ("firm_id",)),
    Field(Col.NAME, _aliases(
        "企业名称 公司名称 系统匹配企业名称 单位名称 机构名称 企业全称 公司全称 主体名称 "
        "市场主体名称 "
        "投资方名称 投资机构名称 投资企业名称 名称 企业 公司 name firm_name company company_name")),
    Field(Col.USCC, _aliases(
        "统一社会信用代码 统一信用代码 社会信用代码 信用代码 社会统一信用代码 "
        "统一社会信用代码/注册号 "
        "uscc credit_code")),
    Field(Col.STOCK_CODE, _aliases("证券代码 股票代码 上市代码 a股代码 stock_code symbol ts_code")),
    Field(Col.STATUS, _aliases("登记状态 经营状态 企业状态 公司状态 企业经营状态 状态 status")),
    Field(Col.PROVINCE, _aliases(
        "所属省份 省份 所属省 省 注册省份 所在省份 所在省 所属省市 所属省份地区 省级 province")),
    Field(Col.CITY, _aliases("所属城市 城市 所属市 市 地级市 注册城市 所在城市 所在市 city")),
    Field(Col.COUNTY, _aliases(
        "所属区县 区县 所属区/县 所属县区 县区 区/县 县 县市区 县(市区) 所在区县 注册区县 county")),
    Field(Col.ADDRESS, _aliases(
        "注册地址 企业地址 公司地址 企业注册地址 注册地 地址 住所 企业住所 经营场所 address")),
    Field(Col.ADDRESS, _aliases("最新年报地址 通信地址 办公地址 经营地址 通讯地址"), 1),
    Field(Col.INDUSTRY_TEXT, _aliases(
        "国标行业小类 行业小类 国民经济行业小类 行业代码 国标行业代码 国民经济行业代码 industry")),
    Field(Col.INDUSTRY_TEXT, _aliases("国标行业中类 行业中类 国民经济行业中类"), 1),
    Field(Col.INDUSTRY_TEXT, _aliases("国标行业大类 行业大类 国民经济行业大类"), 2),
    Field(Col.INDUSTRY_TEXT, _aliases("国标行业门类 行业门类 国民经济行业门类"), 3),
    Field(Col.INDUSTRY_TEXT, _aliases(
        "所属行业 行业 国标行业 行业分类 行业类别 行业名称 国民经济行业 所属国民经济行业 "
        "所属国标行业 "
        "industry_text"), 4),
    Field(Col.CAPITAL, _aliases("注册资本 注册资金 注册资本金 认缴注册资本 开办资金 capital")),
    Field(Col.CAPITAL_TEXT, _aliases("capital_text 注册资本原文"), 1),
    Field(Col.CAPITAL_PAID, _aliases(
        "实缴资本 实缴注册资本 实收资本 实缴资金 实收注册资本 capital_paid")),
    Field(Col.FOUNDED, _aliases("成立日期 注册日期 成立时间 注册时间 设立日期 founded")),
    Field(Col.FOUNDED, _aliases("营业期限 营业期限自 经营期限"), 1),
    Field(Col.SIZE, _aliases("企业规模 公司规模 规模类型 size")),
    Field(Col.KIND, _aliases(
        "企业(机构)类型 企业类型 公司类型 机构类型 主体类型 市场主体类型 kind")),
    Field(Col.EMPLOYEES, _aliases(
        "参保人数 社保人数 缴纳社保人数 参保员工数 employees")),
    Field(Col.EMPLOYEES, _aliases("员工人数 职工人数 从业人数 从业人员人数 员工数"), 1),
    Field(Col.SCOPE, _aliases("经营范围 经营业务范围 业务范围 经营范围及方式 scope")),
    Field(Col.PRODUCTS, _aliases(
        "主营产品 主营业务 主要产品 产品 主导产品 主营产品/服务 主要产品名称 主营业务产品 产品服务 "
        "主营业务范围 products")),
    Field(Col.WEBSITE, _aliases("官网 网址 官网网址 企业官网 公司网址 官方网站 网站 企业网址 "
    "website")),
    Field(Col.FORMER_NAMES, _aliases("曾用名 历史名称 曾用名称 企业曾用名 former_names")),
    Field(Col.MARKS, _aliases(
        "资质 荣誉 标签 企业标签 资质荣誉 荣誉资质 企业资质 科技型企业 企业荣誉 科创资质 资质标签 "
        "认定类型 科技资质 marks")),
    Field(Col.MARKS, _aliases(
        "专精特新小巨人企业 专精特新小巨人 国家级专精特新小巨人企业 国家级专精特新小巨人 "
        "小巨人企业 "
        "国家专精特新小巨人企业 小巨人 是否专精特新小巨人 是否专精特新小巨人企业 是否小巨人"), 1,
        _GIANT),
    Field(Col.MARKS, _aliases(
        "专精特新中小企业 省级专精特新中小企业 专精特新 专精特新企业 省级专精特新 是否专精特新 "
        "省专精特新中小企业 是否专精特新中小企业"), 1, _SPECIAL),
    Field(Col.MARKS, _aliases(
        "高新技术企业 国家高新技术企业 高新企业 国家级高新技术企业 是否高新技术企业 是否高新企业 "
        "是否高企"), 1, _HIGH),
    Field(Col.MARKS, _aliases("创新型中小企业 是否创新型中小企业"), 1, _INNOVATIVE),
    Field(Col.MARKS, _aliases(
        "科技型中小企业 国家科技型中小企业 是否科技型中小企业 科技型中小企业入库"), 1, _SCIENCE),
    Field(Col.LISTING, _aliases("上市状态 上市板块 上市类型 上市情况 是否上市 板块 listing")),
    Field(Col.REVENUE, _aliases(
        "年营业收入 营业收入 营业总收入 年营收 营收 年产值 年度营业收入 主营业务收入 销售收入 "
        "revenue")),
    Field(Col.PATENTS, _aliases("专利数 专利数量 专利总数 专利个数 专利 patents")),
    Field(Col.SOURCE, _aliases("来源 数据来源 资料来源 source")),
    Field("person", _aliases(
        "法定代表人 法人代表 法人 法定代表人姓名 负责人 企业法人 联系人 法定代表人/负责人 person")),
    Field("phone", _aliases(
        "电话 更多电话 联系电话 电话号码 有效手机号 手机 手机号 手机号码 企业电话 公司电话 "
        "更多号码 "
        "联系方式 法人电话 固话 有效电话 企业公示的联系电话 企业公示的联系电话更多号码 phone")),
    Field("mail", _aliases(
        "邮箱 更多邮箱 电子邮箱 企业邮箱 联系邮箱 公司邮箱 电子邮件 email e-mail mail")),
)  # fmt: skip

IGNORED: tuple[str, ...] = _aliases(
    "序号 原文件导入名称 行号 原因 纳税人识别号 注册号 工商注册号 组织机构代码 进出口企业代码 "
    "英文名 "
    "英文名称 核准日期 登记机关 纳税人资质 最新年报年份 参保人数所属年报 人员规模 企业评分 "
    "天眼评分 "
    "企查查行业门类 企查查行业大类 企查查行业中类 企查查行业小类 企业简介 公司简介 通信地址邮编 "
    "注册地址邮编 division standing 企业编号 经营异常 曾用英文名 公司简称 企业简称 "
    "营业期限至 更新时间 关联标准目录 退回原因 跟进阶段 跟进人 跟进情况"
)
"""Headers we know and have no use for: kept aside without a word."""

_DROP = re.compile(r"[\s\"'“”‘’「」『』*＊:：•·]+")
_BRACKETED = re.compile(r"\(([^()]*)\)")


def header_key(header: str) -> str:
    """A header as it is compared: half width, without case, spaces, quotes and stars."""
    return _DROP.sub("", normalise(header)).translate(str.maketrans("[]【】", "()()")).casefold()


def split_unit(header: str) -> tuple[str, str]:
    """A header's key without its brackets, and what stood in them."""
    key = header_key(header)
    return _BRACKETED.sub("", key), ";".join(_BRACKETED.findall(key))


_BY_KEY = {header_key(a): f for f in FIELDS for a in f.aliases}
_IGNORED = frozenset(header_key(a) for a in IGNORED)


def find_field(header: str) -> Field | None:
    """The field that a header names, None when it names none."""
    key = header_key(header)
    return _BY_KEY.get(key) or (_BY_KEY.get(split_unit(header)[0]) if key not in _IGNORED else None)


def is_ignored(header: str) -> bool:
    """Whether a header is known and of no use."""
    return header_key(header) in _IGNORED or split_unit(header)[0] in _IGNORED


def score_header(cells: Sequence[str]) -> float:
    """How much a row looks like the header: one for each distinct meaning, more for a name."""
    keys = {header_key(c) for c in cells if c}
    found = [f for f in (find_field(c) for c in cells if c) if f]
    meanings = len({id(f) for f in found})
    named = any(f.target is Col.NAME for f in found)
    return meanings + 0.5 * len(keys & _IGNORED) + (1.5 if named else 0.0)
