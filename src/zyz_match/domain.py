"""The words everybody uses: towns, firms, matches. Frozen, without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Literal, get_args

Role = Literal["upstream", "core", "downstream", "support"]
Need = Literal["missing", "weak", "present"]
ROLES: tuple[str, ...] = get_args(Role)
NEEDS: tuple[str, ...] = get_args(Need)
ROLE_NAMES = {"upstream": "上游", "core": "核心", "downstream": "下游", "support": "配套"}


class Standing(StrEnum):
    """Whether a firm can be approached at all."""

    ACTIVE = "active"  # 存续 在业 开业 迁入 迁出
    ABNORMAL = "abnormal"  # 经营异常 停业 歇业 清算: listed, but flagged
    GONE = "gone"  # 注销 吊销 撤销: never on a list
    UNKNOWN = "unknown"


class Col(StrEnum):
    """Columns of the firm table; one row a firm, missing text is "" and missing numbers are NaN."""

    FIRM_ID = "firm_id"
    NAME = "name"
    USCC = "uscc"
    STOCK_CODE = "stock_code"
    STATUS = "status"  # the registry's word, e.g. 存续
    STANDING = "standing"  # Standing
    PROVINCE = "province"  # current official names
    CITY = "city"
    COUNTY = "county"
    DIVISION = "division"  # adcode of the deepest known division
    ADDRESS = "address"
    INDUSTRY = "industry"  # deepest known GB/T 4754-2017 code
    INDUSTRY_TEXT = "industry_text"  # as written, also when no code was found
    CAPITAL = "capital"  # registered, 10,000 CNY
    CAPITAL_TEXT = "capital_text"  # as written, with its currency
    CAPITAL_PAID = "capital_paid"  # 10,000 CNY
    FOUNDED = "founded"  # ISO date
    SIZE = "size"  # 大型 中型 小型 微型
    KIND = "kind"  # 企业类型
    EMPLOYEES = "employees"  # 参保人数
    SCOPE = "scope"  # 经营范围
    PRODUCTS = "products"  # 主营产品, separated by ；
    WEBSITE = "website"
    FORMER_NAMES = "former_names"  # separated by ；
    MARKS = "marks"  # names of MARKS, separated by ；
    LISTING = "listing"  # 上市状态
    REVENUE = "revenue"  # yearly, 10,000 CNY
    PATENTS = "patents"
    SOURCE = "source"  # source note of the row


NUMBER_COLUMNS: tuple[Col, ...] = (
    Col.CAPITAL, Col.CAPITAL_PAID, Col.EMPLOYEES, Col.REVENUE, Col.PATENTS,
)  # fmt: skip
TEXT_COLUMNS: tuple[Col, ...] = tuple(c for c in Col if c not in NUMBER_COLUMNS)

MARKS: tuple[str, ...] = (
    "专精特新小巨人", "专精特新中小企业", "高新技术企业", "创新型中小企业", "科技型中小企业",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a town, with its weight against the others."""

    term: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ChainSegment:
    """One link of a town's industrial chain."""

    segment: str
    role: Role = "core"
    need: Need | None = None
    terms: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Town:
    """A specialised town as a query: what it makes, what its chain needs, where it lies."""

    id: str
    name: str
    province: str = ""
    city: str = ""
    county: str = ""
    level: str = ""
    sector: str = ""
    products: tuple[Product, ...] = ()
    industries: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    exclude_regions: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    chain: tuple[ChainSegment, ...] = ()
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Firm:
    """One firm as a user sees it; the fields are those of `Col`, missing is None or "".

    Contact persons, phones and mails are not part of it: they live in their own table.
    """

    firm_id: str
    name: str
    uscc: str = ""
    stock_code: str = ""
    status: str = ""
    standing: Standing = Standing.UNKNOWN
    province: str = ""
    city: str = ""
    county: str = ""
    division: str = ""
    address: str = ""
    industry: str = ""
    industry_text: str = ""
    capital: float | None = None
    capital_text: str = ""
    capital_paid: float | None = None
    founded: date | None = None
    size: str = ""
    kind: str = ""
    employees: int | None = None
    scope: str = ""
    products: str = ""
    website: str = ""
    former_names: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    listing: str = ""
    revenue: float | None = None
    patents: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What a firm did elsewhere: an investment, a branch, a merger, an expansion."""

    firm_id: str
    date: date
    region: str = ""
    industry: str = ""
    target: str = ""
    kind: str = ""
    amount: float | None = None


class Stage(StrEnum):
    """How far a town and a firm have come, in the order of the way, then how it can end."""

    RECOMMENDED = "recommended"
    CONTACTED = "contacted"
    VISITED = "visited"
    NEGOTIATING = "negotiating"
    SIGNED = "signed"
    LANDED = "landed"
    NO_INTEREST = "no_interest"
    UNFIT = "unfit"
    LOST = "lost"


CLOSING_STAGES: tuple[Stage, ...] = (Stage.NO_INTEREST, Stage.UNFIT, Stage.LOST)
FORWARD_STAGES: tuple[Stage, ...] = tuple(s for s in Stage if s not in CLOSING_STAGES)
STAGE_NAMES: dict[Stage, str] = {
    Stage.RECOMMENDED: "已推荐", Stage.CONTACTED: "已接触", Stage.VISITED: "已考察",
    Stage.NEGOTIATING: "洽谈中", Stage.SIGNED: "已签约", Stage.LANDED: "已落地",
    Stage.NO_INTEREST: "无意向", Stage.UNFIT: "不合适", Stage.LOST: "已流失",
}  # fmt: skip
OTHER_REASON = "other"
REASONS: dict[str, str] = {
    "land": "用地", "logistics": "物流运输", "labour": "用工", "supply_chain": "产业配套",
    "no_plan": "暂无投资计划", "environment": "环保要求", "elsewhere": "已选他处",
    "unreachable": "联系不上", OTHER_REASON: "其他",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeadEntry:
    """One step between a town and a firm as it was written down; later ones never erase it."""

    id: int
    town_id: str
    firm_id: str
    date: date
    stage: Stage
    reason: str = ""  # a key of REASONS, "" when none was given
    owner: str = ""  # who takes care of it
    note: str = ""
    list_id: str = ""  # the receipt of the list that named the firm
    corrects: int | None = None  # the entry that this one replaces
    recorded_at: str = ""  # ISO, UTC
    via: str = ""  # cli | api | file
    effective: bool = True  # False once another entry corrects it


@dataclass(frozen=True, slots=True)
class ExternalId:
    """What another system calls a record of ours, such as (espocrm, Account, 64f0c2)."""

    system: str
    object: str
    id: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What must hold before a firm may be counted among the top k; None and () mean "any"."""

    provinces: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    capital_min: float | None = None  # 10,000 CNY
    capital_max: float | None = None
    employees_min: float | None = None
    employees_max: float | None = None
    marks: tuple[str, ...] = ()
    listed: bool | None = None
    statuses: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One named part of a score, in points, with the evidence for it.

    `points` of all contributions of a match sum to its score exactly.
    """

    name: str  # stable machine name, e.g. "words"
    label: str  # Chinese, e.g. "产品词匹配"
    part: Literal["fit", "propensity"]
    points: float
    maximum: float  # points this part can give
    value: float | None  # the component's value in [0, 1]; None when the firm's data are missing
    evidence: tuple[str, ...] = ()  # Chinese: words and segments matched, codes, km, values
    missing: str = ""  # Chinese: what was missing, "" when nothing was


@dataclass(frozen=True, slots=True)
class Chance:
    """A chance in [0, 1] with its 90 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Match:
    """One firm on a list: rank, exact score, why."""

    rank: int
    firm: Firm
    score: float  # sum of the contributions' points
    fit: float  # sum of the fit points
    propensity: float  # sum of the propensity points
    confidence: float  # share of the weight whose data are known, in [0, 1]
    reason: str  # one plain Chinese sentence
    segment: str  # the chain segment matched best, "" when there is none
    flags: tuple[str, ...] = ()  # e.g. 经营异常
    contributions: tuple[Contribution, ...] = ()
    care_stage: str = ""  # Stage of the newest entry between the town and the firm
    care_owner: str = ""  # who takes care of it
    chance: Chance | None = None  # that a lead would end well; None while too little is known


LATE = "~"


def state_of(data: str) -> str:
    """The state of the firm data that a list names.

    "state~count" says that the newest firms were added to an index of that older count, which has
    the same firms as one of "state" and other scores.
    """
    return data.partition(LATE)[0]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """A ranked list for one town, and what it was made from."""

    town: Town
    matches: tuple[Match, ...]
    pool: int  # candidates after standing, anchors, excluded regions and filters
    total: int  # firms in the store
    filters: Filters
    model: str  # version of the weights
    data: str  # stamp of the firm data, see `state_of`
    id: str = ""  # receipt, "" while it is not kept
    notes: tuple[str, ...] = ()  # Chinese remarks for the reader


@dataclass(frozen=True, slots=True)
class ReceiptItem:
    """One firm on a list that was kept."""

    rank: int
    firm_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """A list as it was shown: who asked for what, made from what, and what stood on it."""

    id: str
    town_id: str
    town: Town | None  # the profile as it was; None in receipts that did not keep it yet
    asked_at: str  # ISO, UTC
    by: str
    via: str
    filters: Filters
    model: str
    data: str
    pool: int
    total: int
    k: int | None  # None in receipts that did not keep it yet
    diversify: bool
    after: tuple[float, str] | None  # last match of the page before
    existing: str  # hash of the firms that were in the town
    items: tuple[ReceiptItem, ...]
    published_at: str | None = None  # ISO, UTC: when it was handed on


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Whether a list comes out the same again, or what of its inputs is gone."""

    same: bool | None  # None when an input is gone
    remarks: tuple[str, ...] = ()  # Chinese: inputs that are gone, or what came out otherwise


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one firm stands for a town, also when it is not on the list."""

    town: Town
    match: Match | None  # None when the firm is excluded
    firm: Firm
    rank: int | None  # among all candidates, 1 is best
    pool: int
    excluded: str  # Chinese: why it can never be listed, "" otherwise
    holds_back: tuple[str, ...] = ()  # Chinese, the largest losses against the list's head
    would_change: tuple[str, ...] = ()  # Chinese, what would move it


@dataclass(frozen=True, slots=True)
class TownFit:
    """One town in the reverse list of a firm."""

    town: Town
    rank: int  # of the town for this firm
    match: Match  # its rank is the firm's rank on the town's own list


@dataclass(frozen=True, slots=True)
class Similar:
    """A look-alike: how near, and what it shares with the given firms."""

    rank: int
    firm: Firm
    similarity: float
    shared: tuple[str, ...]  # words both texts hold
    same_industry: str  # name of the deepest common industry, "" when there is none
