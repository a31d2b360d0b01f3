"""The shapes of requests and answers; a request takes only what is named here."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import WithJsonSchema

from api.validation import TAG
from zyz_match.domain import MARKS, Filters, Need, Role
from zyz_match.errors import InputError

MAX_PAGE = 200
MAX_NUMBER = 1e12  # 10,000 CNY: more than the world holds
MAX_PEOPLE = 10**9


def _known_mark(mark: str) -> str:
    if mark not in MARKS:
        raise ValueError(f"应为 {'、'.join(MARKS)} 之一。")
    return mark


Text = Annotated[str, Field(min_length=1, max_length=200)]
Texts = Annotated[list[Text], Field(max_length=1000)]
Words = Annotated[list[Text], Field(max_length=50)]
Mark = Annotated[
    str, AfterValidator(_known_mark), WithJsonSchema({"type": "string", "enum": list(MARKS)})
]
Include = Literal["reasons"]


class Strict(BaseModel):
    """A request part: right types only, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """An answer part: tests hold every answer against it."""

    model_config = ConfigDict(extra="forbid")


# requests ----------------------------------------------------------------------------------


class ProductItem(Strict):
    """A product of a town with its weight."""

    term: Text = Field(description="产品词")
    weight: float = Field(default=1.0, gt=0, le=1e6, description="权重，默认 1")


def _branch(value: object) -> str:
    return f"{TAG}text" if isinstance(value, str) else f"{TAG}item"


ProductEntry = Annotated[
    Annotated[Text, Tag(f"{TAG}text")] | Annotated[ProductItem, Tag(f"{TAG}item")],
    Discriminator(_branch),
]


class Segment(Strict):
    """One link of a town's industrial chain."""

    segment: Text = Field(description="环节名称")
    role: Role = Field(
        default="core", description="上游 upstream、核心 core、下游 downstream、配套 support"
    )
    need: Need | None = Field(default=None, description="缺失 missing、薄弱 weak、已有 present")
    terms: Texts = Field(default=[], description="该环节的产品或工艺词")
    industries: Texts = Field(default=[], description="国标行业代码")


class TownFields(Strict):
    """A town profile apart from its id; empty entries may be left out."""

    name: Text = Field(description="专业镇名称")
    province: Annotated[str, Field(max_length=200)] = ""
    city: Annotated[str, Field(max_length=200)] = ""
    county: Annotated[str, Field(max_length=200)] = ""
    level: Annotated[str, Field(max_length=200, description="级别，如 省级、市级")] = ""
    sector: Annotated[str, Field(max_length=200, description="产业类别")] = ""
    products: Annotated[list[ProductEntry], Field(max_length=1000)] = Field(
        default=[], description="产品：文字，或 {term, weight}"
    )
    industries: Texts = Field(default=[], description="国标行业代码（文字）或标签")
    regions: Texts = Field(default=[], description="所在地区，与投资事件文件用词一致")
    exclude_regions: Texts = Field(default=[], description="注册在这些地区的企业不作候选")
    anchors: Texts = Field(default=[], description="镇内已有企业的 firm_id")
    chain: Annotated[list[Segment], Field(max_length=1000)] = Field(
        default=[], description="产业链环节"
    )
    preferences: dict[str, Any] = Field(default={}, description="偏好（键值）")


class TownBody(TownFields):
    """A town profile as it is put; the id is that of the path."""

    id: Text | None = Field(default=None, description="编号；可省略，写了就必须与路径一致")


class TownProfile(TownFields):
    """A whole town profile."""

    id: Text = Field(description="编号")


def _check_range(name: str, low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise InputError(f"{name} 的下限 {low:g} 大于上限 {high:g}，请对调或修改。")


class FilterFields(BaseModel):
    """What must hold before a firm may be on a list; several values of one field mean "or"."""

    province: Words = Field(default=[], description="省份，可重复", examples=[["浙江省"]])
    city: Words = Field(default=[], description="城市，可重复", examples=[["宁波市"]])
    industry: Words = Field(
        default=[], description="国标行业代码或名称（含下级），可重复", examples=[["3391"]]
    )
    capital_min: float | None = Field(
        default=None, ge=0, le=MAX_NUMBER, allow_inf_nan=False, description="注册资本下限，万元"
    )
    capital_max: float | None = Field(
        default=None, ge=0, le=MAX_NUMBER, allow_inf_nan=False, description="注册资本上限，万元"
    )
    employees_min: int | None = Field(default=None, ge=0, le=MAX_PEOPLE, description="参保人数下限")
    employees_max: int | None = Field(default=None, ge=0, le=MAX_PEOPLE, description="参保人数上限")
    mark: Annotated[list[Mark], Field(max_length=50)] = Field(
        default=[], description="企业资质，可重复", examples=[["高新技术企业"]]
    )
    listed: bool | None = Field(default=None, description="是否上市")
    status: Words = Field(default=[], description="登记状态，可重复", examples=[["存续"]])
    text: Text | None = Field(default=None, description="名称、经营范围或主营产品中含有的文字")

    def filters(self) -> Filters:
        """The same in the words of the domain; InputError for a range that holds nothing."""
        _check_range("注册资本 capital", self.capital_min, self.capital_max)
        _check_range("参保人数 employees", self.employees_min, self.employees_max)
        return Filters(
            provinces=tuple(self.province),
            cities=tuple(self.city),
            industries=tuple(self.industry),
            capital_min=self.capital_min,
            capital_max=self.capital_max,
            employees_min=self.employees_min,
            employees_max=self.employees_max,
            marks=tuple(self.mark),
            listed=self.listed,
            statuses=tuple(self.status),
            text=self.text or "",
        )


class FilterBody(FilterFields):
    """The filters inside a body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class MatchRequest(Strict):
    """A profile sent along, and what to list for it."""

    town: TownProfile = Field(description="专业镇画像，不会保存")
    limit: int = Field(default=20, ge=1, le=MAX_PAGE, description="每页条数")
    cursor: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        default=None, description="上一页的 next_cursor"
    )
    filters: FilterBody = Field(default_factory=FilterBody, description="筛选条件")
    diversify: bool = Field(default=False, description="按产业链环节分散；只有一页")
    include: Annotated[list[Include], Field(max_length=5)] = Field(
        default=[], description="reasons：带上各项得分和依据"
    )


# answers -----------------------------------------------------------------------------------


class Problem(Answer):
    """An RFC 9457 error answer."""

    type: str
    title: str
    status: int
    detail: str = Field(description="出了什么问题、怎么办")
    code: str = Field(description="供程序判断的错误代码")
    request_id: str
    errors: list[dict[str, str]] = Field(
        description="逐条问题：detail，及 pointer（请求体位置）或 parameter（参数名）"
    )


class Health(Answer):
    """The state of the service."""

    status: Literal["ok"]
    time: datetime = Field(description="服务器时间，UTC")
    version: str = Field(description="软件版本")
    towns: int = Field(description="专业镇数")
    firms: int = Field(description="企业数")
    model: str = Field(description="评分模型版本")
    data: str = Field(description="企业数据版本")


class TownRef(Answer):
    """A town's id and name."""

    id: str
    name: str


class TownSummary(TownRef):
    """A town in a list; missing is null."""

    province: str | None
    city: str | None
    county: str | None
    level: str | None
    sector: str | None
    segments: int = Field(description="产业链环节数")


class TownPage(Answer):
    """One page of towns."""

    items: list[TownSummary]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")
    total: int


class TownPut(Answer):
    """What a PUT did."""

    change: Literal["created", "updated", "unchanged"]
    town: TownProfile


class FirmSummary(Answer):
    """A firm in a list; missing is null."""

    firm_id: str
    name: str
    uscc: str | None
    stock_code: str | None
    status: str | None
    province: str | None
    city: str | None
    county: str | None
    industry: str | None
    industry_text: str | None
    capital_10k_cny: float | None
    founded: date | None
    size: str | None
    employees: int | None
    marks: list[str]
    listing: str | None
    revenue_10k_cny: float | None
    patents: int | None


class FirmDetail(FirmSummary):
    """A firm with all its fields; contacts are never part of it."""

    standing: str
    division: str | None
    address: str | None
    capital_text: str | None
    capital_paid_10k_cny: float | None
    kind: str | None
    scope: str | None
    products: list[str]
    website: str | None
    former_names: list[str]
    source: str | None


class ContributionView(Answer):
    """One named part of a score."""

    name: str
    label: str
    part: Literal["fit", "propensity"]
    points: float
    max_points: float
    value: float | None = Field(description="该项取值 0-1；null 表示企业数据缺失")
    evidence: list[str]
    missing: str | None


class MatchView(Answer):
    """One firm on a list."""

    rank: int
    score: float = Field(description="总分，满分 100，等于各项得分之和")
    fit: float = Field(description="契合分")
    propensity: float = Field(description="投资倾向分")
    confidence: float = Field(description="已知数据所占权重，0-1")
    reason: str = Field(description="一句话理由")
    segment: str | None = Field(description="最契合的产业链环节")
    flags: list[str] = Field(description="需留意之处")
    firm: FirmSummary
    contributions: list[ContributionView] | None = Field(
        description="各项得分与依据；include=reasons 时才有"
    )


class MatchPage(Answer):
    """One page of a town's ranked list."""

    town: TownRef
    items: list[MatchView]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")
    pool: int = Field(description="符合条件的候选企业数")
    total: int = Field(description="库中企业总数")
    model: str
    data: str
    shortlist_id: str | None = Field(description="名单留痕编号；画像未入库时为 null")
    notes: list[str]


class ExplanationView(Answer):
    """Where one firm stands for a town."""

    town: TownRef
    firm: FirmSummary
    rank: int | None = Field(description="在全部候选中的名次；null 表示不作候选")
    pool: int
    excluded: str | None = Field(description="不作候选的原因")
    match: MatchView | None
    holds_back: list[str] = Field(description="与榜首相比失分最多之处")
    would_change: list[str] = Field(description="哪些变化会改变名次")


class TownFitView(Answer):
    """One town in a firm's reverse list."""

    rank: int = Field(description="该镇在此企业名单中的名次")
    town: TownRef
    match: MatchView = Field(description="其中 rank 是企业在该镇名单中的名次")


class TownFits(Answer):
    """The best towns for a firm."""

    firm: FirmSummary
    items: list[TownFitView]


class SimilarView(Answer):
    """A look-alike firm."""

    rank: int
    similarity: float = Field(description="相似度，0-1")
    shared: list[str] = Field(description="共有的词")
    same_industry: str | None
    firm: FirmSummary


class Similars(Answer):
    """Firms most like a firm."""

    firm: FirmSummary
    items: list[SimilarView]
