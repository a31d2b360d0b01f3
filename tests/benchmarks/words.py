"""What made-up phrases are put together from: industries' names, usual words, usual signs."""

import csv
import re
from collections import defaultdict
from functools import cache

from zyz_match.shipped import data_folder

BEFORE = (
    "精密", "高端", "智能", "新型", "环保", "特种", "工业", "电子", "民用", "汽车", "自动",
    "绿色", "节能", "数控", "复合", "高性能", "定制", "小型", "大型", "便携", "防腐", "耐高温",
    "车用", "医用", "通用", "专用", "系列", "LED", "PVC", "光", "电", "高压", "家用", "不锈钢",
)  # fmt: skip
AFTER = (
    "设备", "系统", "产品", "服务", "材料", "制品", "机", "器", "业务", "管", "工程", "品",
    "销售", "技术服务", "电机", "加工", "板", "配件", "机械", "装置", "类", "剂", "制造", "线",
    "件", "开发", "控制器", "模块", "油", "膜", "管理", "车", "胶囊", "片", "贸易", "组件",
    "仪", "管材", "解决方案", "电缆", "生产", "研发", "运营", "租赁", "仓储", "设计", "进出口",
)  # fmt: skip
GENERAL = (
    "货物进出口", "技术服务", "技术进出口", "技术开发", "技术咨询", "信息咨询服务", "物业管理",
    "技术推广", "道路货物运输", "国内贸易代理", "机械设备销售", "非居住房地产租赁",
    "五金产品批发", "日用百货销售", "建筑材料销售", "金属材料销售", "企业管理咨询", "软件开发",
    "会议及展览服务", "信息技术咨询服务", "普通货物仓储服务", "劳务服务", "广告设计",
    "互联网销售", "电子产品销售", "办公用品销售", "包装服务", "机械设备租赁", "自有资金投资",
    "再生资源回收", "新材料技术研发", "塑料制品销售", "仪器仪表销售", "电线电缆经营",
)  # fmt: skip
OPENINGS = ("一般项目：", "许可项目：", "经营范围：", "", "", "")
CLOSINGS = ("（除依法须经批准的项目外，凭营业执照依法自主开展经营活动）", "", "")
LEGAL_FORM = "有限公司"
SEPARATORS = ("；", "；", "；", "、")

_STEM = 4  # signs: the tail of a longer name says what it is about
_STEM_ENDS = re.compile(r"(?:制造|加工|生产|服务|活动|专业|业|批发|零售|专门|其他|未列明|的)+")


@cache
def usual_signs() -> tuple[str, ...]:
    """The 3,755 most usual Chinese characters: the first level of GB 2312."""
    codes = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return tuple(s for c in codes if (s := c.decode("gb2312", "ignore")))


@cache
def stems() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Stems of product words and class codes by division of the industries' standard."""
    found: dict[str, set[str]] = defaultdict(set)
    codes: dict[str, list[str]] = defaultdict(list)
    with (data_folder() / "reference" / "gbt4754_2017.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if len(row["code"]) < 3:
                continue
            sector = row["code"][:2]
            if len(row["code"]) == 4:
                codes[sector].append(row["code"])
            for part in re.split(r"[、及和与，,（）()]", row["name"]):
                stem = _STEM_ENDS.sub("", part)[-_STEM:]
                if len(stem) >= 2:
                    found[sector].add(stem)
    usable = sorted(s for s in found if len(found[s]) >= 6 and codes[s])
    return {s: sorted(found[s]) for s in usable}, {s: codes[s] for s in usable}
