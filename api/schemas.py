"""The shapes of requests and answers; a request takes only what is named here."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import WithJsonSchema

from api.validation import TAG
from zyz_match.domain import MARKS, REASONS, STAGE_NAMES, Filters, Need, Role, Stage
from zyz_match.errors import InputError

MAX_PAGE = 200
MAX_NUMBER = 1e12  # 10,000 CNY: more than the world holds
MAX_PEOPLE = 10**9


def _known_mark(mark: str) -> str:
    if mark not in MARKS:
        raise ValueError(f"应为 {'、'.join(MARKS)} 之一。")
    return mark


def _known_stage(stage: str) -> str:
    if stage not in set(Stage):
        raise ValueError(f"应为 {'、'.join(f'{s}（{STAGE_NAMES[s]}）' for s in Stage)} 之一。")
    return stage


def _known_reason(reason: str) -> str:
    if reason not in REASONS:
        raise ValueError(
            f"应为 {'、'.join(f'{c}（{name}）' for c, name in REASONS.items())} 之一。"
        )
    return reason


def _real_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("应为日期，例：2025-06-30。") from None


Text = Annotated[str, Field(min_length=1, max_length=200)]
Texts = Annotated[list[Text], Field(max_length=1000)]
Words = Annotated[list[Text], Field(max_length=50)]
Mark = Annotated[
    str, AfterValidator(_known_mark), WithJsonSchema({"type": "string", "enum": list(MARKS)})
]
Include = Literal["reasons", "features"]
LeadStage = Annotated[
    str, AfterValidator(_known_stage), WithJsonSchema({"type": "string", "enum": list(Stage)})
]
LeadReason = Annotated[
    str, AfterValidator(_known_reason), WithJsonSchema({"type": "string", "enum": list(REASONS)})
]
Day = Annotated[
    str, AfterValidator(_real_day), WithJsonSchema({"type": "string", "format": "date"})
]


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

    town: TownProfile = Field(description="专业镇画像，不进专业镇列表")
    limit: int = Field(default=20, ge=1, le=MAX_PAGE, description="每页条数")
    cursor: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        default=None, description="上一页的 next_cursor"
    )
    filters: FilterBody = Field(default_factory=FilterBody, description="筛选条件")
    diversify: bool = Field(default=False, description="按产业链环节分散；只有一页")
    include: Annotated[list[Include], Field(max_length=5)] = Field(
        default=[], description="reasons：带上各项得分和依据；features：带上各项特征值"
    )


class LeadBody(Strict):
    """One entry: how far a town and a firm have come."""

    town_id: Text = Field(description="专业镇编号，或无歧义的名称")
    firm_id: Text = Field(description="企业编号、统一社会信用代码、证券代码或名称")
    stage: LeadStage = Field(description="到了哪个阶段，或怎样结束")
    date: Day | None = Field(default=None, description="发生的日期，默认今天")
    reason: LeadReason | None = Field(default=None, description="原因")
    owner: Annotated[str, Field(max_length=200)] = Field(default="", description="跟进人")
    note: Annotated[str, Field(max_length=2000)] = Field(default="", description="备注")
    list_id: Annotated[str, Field(max_length=200)] = Field(
        default="", description="出自哪份名单（shortlist_id）"
    )
    corrects: int | None = Field(default=None, ge=1, description="更正哪一条记录（id）")


class EventBody(Strict):
    """One event: what a firm did elsewhere."""

    firm_id: Text = Field(description="企业编号、统一社会信用代码、证券代码或名称")
    date: Day = Field(description="发生的日期")
    region: Annotated[str, Field(max_length=200)] = Field(default="", description="投到哪里")
    industry: Annotated[str, Field(max_length=200)] = Field(default="", description="投什么行业")
    target: Annotated[str, Field(max_length=200)] = Field(default="", description="被投企业或项目")
    kind: Annotated[str, Field(max_length=200)] = Field(
        default="", description="类型，如 对外投资、设立分支、并购、扩产"
    )
    amount_10k_cny: float | None = Field(
        default=None, ge=0, le=MAX_NUMBER, description="金额，万元"
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
    model_note: str | None = Field(description="启用的模型不可用时：原因和暂用的版本")
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


class ListedTown(TownSummary):
    """A town in the list of all."""

    updated_at: datetime = Field(description="最近一次变动的时间，UTC")
    external: list["ExternalView"] = Field(description="其他系统的编号")


class TownPage(Answer):
    """One page of towns."""

    items: list[ListedTown]
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


class ExternalView(Answer):
    """What another system calls a record."""

    system: str
    object: str
    id: str


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
    updated_at: datetime = Field(description="最近一次变动的时间，UTC")
    external: list[ExternalView] = Field(description="其他系统的编号")


class FirmPage(Answer):
    """One page of firms."""

    items: list[FirmDetail]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


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


class ChanceView(Answer):
    """A chance with its 90 % interval."""

    value: float = Field(description="可能性，0-1")
    low: float = Field(description="90 % 区间下限")
    high: float = Field(description="90 % 区间上限")


class MatchView(Answer):
    """One firm on a list."""

    rank: int
    score: float = Field(description="总分，满分 100，等于各项得分之和")
    fit: float = Field(description="契合分")
    propensity: float = Field(description="投资倾向分")
    confidence: float = Field(description="已知数据所占权重，0-1")
    chance: ChanceView | None = Field(description="线索成功的可能性；null 表示数据还不足以估计")
    reason: str = Field(description="一句话理由")
    segment: str | None = Field(description="最契合的产业链环节")
    flags: list[str] = Field(description="需留意之处")
    care_stage: LeadStage | None = Field(description="最近一次跟进到了哪个阶段；null 表示没有跟进")
    care_owner: str | None = Field(description="最近一次跟进的跟进人")
    firm: FirmSummary
    contributions: list[ContributionView] | None = Field(
        description="各项得分与依据；include=reasons 时才有"
    )
    features: dict[str, float | None] | None = Field(
        description="模型看到的各项特征值，0-1，null 表示缺失；include=features 时才有"
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
    shortlist_id: str = Field(description="名单留痕编号，可用 GET /v1/lists/{list_id} 查回")
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


class LeadView(Answer):
    """One entry as it was written down."""

    id: int
    town_id: str
    firm_id: str
    date: date
    stage: LeadStage
    reason: LeadReason | None
    owner: str | None
    note: str | None
    list_id: str | None
    corrects: int | None = Field(description="它更正的那一条")
    effective: bool = Field(description="false：已被另一条更正")
    recorded_at: datetime
    via: str = Field(description="来自 cli、api、file 还是 hook")
    external: list[ExternalView] = Field(description="其他系统的编号")


class LeadRecorded(Answer):
    """What a POST did."""

    change: Literal["created", "unchanged"]
    lead: LeadView


class LeadPage(Answer):
    """One page of entries."""

    items: list[LeadView]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


class EventView(Answer):
    """One event."""

    firm_id: str
    date: date
    region: str | None
    industry: str | None
    target: str | None
    kind: str | None
    amount_10k_cny: float | None


class ListedEvent(EventView):
    """An event in the list of all."""

    id: str
    recorded_at: datetime | None = Field(description="记下的时间，UTC；旧版本记的为 null")
    external: list[ExternalView] = Field(description="其他系统的编号")


class EventPage(Answer):
    """One page of events."""

    items: list[ListedEvent]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


class EventRecorded(Answer):
    """What a POST did."""

    change: Literal["created", "unchanged"]
    event: EventView


class ListItem(Answer):
    """One firm on a list that was shown."""

    rank: int
    firm_id: str
    score: float


class ReproductionView(Answer):
    """Whether a list comes out the same again."""

    same: bool | None = Field(description="true 完全相同；false 结果不同；null 有输入已不在")
    remarks: list[str] = Field(description="哪些输入已不在，或哪里不同")


class ListReceipt(Answer):
    """A list as it was shown, and what it was made from."""

    id: str
    town_id: str
    asked_at: datetime
    by: str | None
    via: str
    filters: FilterFields
    limit: int | None = Field(description="要了几家；null 表示旧版本没有留存")
    diversify: bool
    model: str
    data: str
    pool: int
    total: int
    items: list[ListItem]
    published_at: datetime | None = Field(description="何时交出去用；null 表示没有发布过")
    reproduction: ReproductionView
