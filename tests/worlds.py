"""Small synthetic worlds with a known right answer; every invented firm is called 合成."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from zyz_match.domain import NUMBER_COLUMNS, ChainSegment, Col, Product, Standing, Town

TOWN = Town(
    id="synthetic-casting",
    name="合成铸造专业镇",
    province="山西省",
    city="晋城市",
    county="泽州县",
    products=(Product("球墨铸铁管件", 2.0), Product("灰铸铁件"), Product("汽车铸件")),
    industries=("3391",),
    exclude_regions=("晋城市",),
    chain=(
        ChainSegment("炉料", "upstream", None, ("高纯生铁", "硅铁", "球化剂"), ("3110",)),
        ChainSegment("铸造成型", "core", None, ("消失模铸造", "树脂砂铸造"), ("3391",)),
        ChainSegment("装备", "support", "missing", ("抛丸机", "中频电炉"), ("3423",)),
    ),
)


def firm(name: str, **facts: Any) -> dict[str, Any]:
    """One row of the firm table; what is not given is missing."""
    row: dict[str, Any] = {c: np.nan if c in NUMBER_COLUMNS else "" for c in Col}
    row |= {Col.FIRM_ID: name, Col.NAME: name, Col.STANDING: Standing.ACTIVE, Col.STATUS: "存续"}
    return row | {Col(k): v for k, v in facts.items()}


def table(*rows: Mapping[Any, Any]) -> pd.DataFrame:
    """Rows as a firm table with the columns of `Col`."""
    frame = pd.DataFrame(list(rows), columns=list(Col))
    for column in NUMBER_COLUMNS:
        frame[column] = frame[column].astype(np.float64)
    return frame


def world() -> pd.DataFrame:
    """Firms whose order for TOWN is known: exact maker, maker, supplier, loose, unrelated."""
    return table(
        firm("合成甲铸管公司", products="球墨铸铁管件；灰铸铁件", industry="3391",
             province="河北省", city="邯郸市", division="130400", marks="专精特新小巨人",
             capital=5000.0),
        firm("合成乙铸造公司", products="汽车铸件；铸铁件", industry="3391", province="山东省",
             city="济南市", division="370100", capital=900.0),
        firm("合成丙炉料公司", scope="高纯生铁、硅铁、球化剂的生产和销售", industry="3110",
             province="山西省", city="临汾市", division="141000"),
        firm("合成丁装备公司", products="抛丸机；中频电炉", industry="3423", province="江苏省",
             city="无锡市", division="320200"),
        firm("合成戊机械公司", products="机械零件；五金", industry="3484", province="浙江省",
             city="宁波市", division="330200"),
        firm("合成己软件公司", products="软件开发；信息系统集成", industry="6510",
             province="北京市", division="110000"),
        firm("合成庚食品公司", products="糕点；饼干；糖果", industry="1411", province="广东省",
             city="深圳市", division="440300"),
        firm("合成辛本地铸造公司", products="球墨铸铁管件；灰铸铁件；汽车铸件", industry="3391",
             province="山西省", city="晋城市", division="140500"),
        firm("合成壬注销铸造公司", products="球墨铸铁管件；灰铸铁件；汽车铸件", industry="3391",
             province="河南省", division="410000", standing=Standing.GONE, status="注销"),
        firm("合成癸异常铸造公司", products="灰铸铁件", industry="3391", province="河南省",
             division="410000", standing=Standing.ABNORMAL, status="经营异常"),
    )  # fmt: skip
