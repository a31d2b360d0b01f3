"""A small synthetic (合成) world behind the real application, and checks of its answers."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

from api.main import create_app
from api.middleware import SECURITY_HEADERS
from api.schemas import Problem
from zyz_match.profiles import town_from
from zyz_match.service import Service
from zyz_match.settings import Settings, load_settings
from zyz_match.storage.store import Store

BASE = "http://127.0.0.1"
COLUMNS = (
    "企业名称", "证券代码", "登记状态", "注册资本", "成立日期", "所属省份", "所属城市",
    "国标行业小类", "参保人数", "主营产品", "经营范围", "高新技术企业", "法定代表人", "电话",
    "邮箱",
)  # fmt: skip
PLACES = (("浙江省", "宁波市"), ("江苏省", "苏州市"), ("山东省", "潍坊市"), ("山西省", "晋城市"))
TRADES = (
    ("铸造", "3391", "球墨铸铁件；阀门铸件；精密铸件", "黑色金属铸造；铸件加工；模具制造"),
    ("丝绸", "1742", "真丝绸；蚕丝被；丝绸面料", "丝绸织造；丝绸制品销售"),
    ("陶瓷", "3071", "建筑陶瓷；琉璃瓦；陶瓷砖", "陶瓷制品制造；建筑材料销售"),
    ("机械", "3443", "工业阀门；水泵；法兰", "阀门制造；通用机械销售；铸件采购"),
)
TOWNS: tuple[dict[str, Any], ...] = (
    {
        "id": "syn-casting", "name": "合成铸造专业镇", "province": "山西省", "city": "晋城市",
        "sector": "制造业", "products": [{"term": "球墨铸铁件", "weight": 3}, "阀门铸件"],
        "industries": ["3391"], "exclude_regions": ["晋城市"],
        "chain": [
            {"segment": "铸造成型", "role": "core", "need": "weak", "terms": ["铸件", "精密铸件"]},
            {"segment": "阀门主机", "role": "downstream", "terms": ["工业阀门", "水泵"]},
        ],
    },
    {
        "id": "syn-silk", "name": "合成丝绸专业镇", "products": ["真丝绸", "蚕丝被"],
        "industries": ["1742"],
    },
    {"id": "syn-ceramics", "name": "合成陶瓷专业镇", "products": ["琉璃瓦", "陶瓷砖"]},
)  # fmt: skip


def firm_rows(count: int = 60, *, first: int = 0) -> list[list[str]]:
    """Rows of a firm table in which every filter splits the firms."""
    rows = []
    for i in range(first, first + count):
        province, city = PLACES[i % 4]
        trade, code, products, scope = TRADES[(i // 4) % 4]
        listed = f"{600000 + i}" if i % 5 == 0 else ""
        rows.append([
            f"合成{city[:2]}{trade}{i:03d}有限公司", listed, "注销" if i % 20 == 19 else "存续",
            f"{100 * (i + 1)}万元" if i % 7 else "", f"20{i % 20:02d}-03-01", province, city, code,
            str(10 * i) if i % 6 else "", products, f"{scope}；合成品类{i % 9}",
            "是" if i % 3 == 0 else "", "合成人名", f"138000{i:05d}", f"who{i}@example.com",
        ])  # fmt: skip
    return rows


def write_firms(path: Path, rows: list[list[str]]) -> Path:
    """Rows as a firm table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def make_world(home: Path, rows: list[list[str]], url: str = "") -> Settings:
    """A home folder whose store, SQLite unless a URL says, holds these firms and our towns."""
    settings = load_settings({"ZYZ_HOME": str(home), "ZYZ_DATABASE_URL": url})
    home.mkdir(parents=True, exist_ok=True)
    with Service(settings, Store.open(settings.database_url)) as service:
        service.import_firms(write_firms(home / "合成企业.csv", rows))
        for town in TOWNS:
            service.put_town(town_from(town))
        service.index()
    return settings


def check_shape(response: httpx2.Response) -> None:
    """What holds for every answer, good or bad."""
    response.read()
    for name in SECURITY_HEADERS:
        assert name in response.headers, name
    assert response.headers["x-request-id"]
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        if response.request.method == "HEAD":
            return
        problem = Problem.model_validate_json(response.content)
        assert problem.status == response.status_code
        assert problem.request_id == response.headers["x-request-id"]
        assert problem.type.endswith(problem.code)
        assert any("\u4e00" <= c <= "\u9fff" for c in problem.detail)
        assert "Traceback" not in response.text
        assert ".py" not in response.text


def client_of(settings: Settings) -> TestClient:
    """A client of a fresh application that checks the shape of every answer."""
    client = TestClient(create_app(settings), base_url=BASE, raise_server_exceptions=False)
    client.event_hooks = {"response": [check_shape]}
    return client


Get = Callable[..., Any]


def code_of(response: httpx2.Response, status: int) -> str:
    """The code of an error answer that has this status."""
    assert response.status_code == status, response.text
    return str(response.json()["code"])
