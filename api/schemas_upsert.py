"""The shapes of upserts, file imports and what they answer."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import WithJsonSchema

from api.schemas import (
    MAX_NUMBER,
    Answer,
    Day,
    EventBody,
    ExternalView,
    LeadReason,
    LeadStage,
    Mark,
    Strict,
    Text,
    TownFields,
)
from api.validation import readable_errors
from zyz_match.domain import Col, Event, ExternalId, Stage
from zyz_match.upsert_desk import FirmCells, Item, ItemError, LeadContent, Refused, TownProfile

MAX_ITEMS = 200
MAX_COUNT = 10_000_000
_ID = r"^[^\s/\\\x00-\x1f\x7f]+$"
_WORD = r"^[^\s/\\:\x00-\x1f\x7f]+$"


def _without_colon(text: str) -> str:
    if ":" in text:
        raise ValueError("不能含有冒号：查找时写作 system:object:id，只有 id 里可以有。")
    return text


Part = Annotated[str, Field(min_length=1, max_length=200, pattern=_ID)]
Word = Annotated[
    Part,
    AfterValidator(_without_colon),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200, "pattern": _WORD}),
]
Short = Annotated[str, Field(max_length=200)]
Long = Annotated[str, Field(max_length=30_000)]
Money = Annotated[float, Field(ge=0, le=MAX_NUMBER, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Parts = Annotated[list[Text], Field(max_length=500)]


class External(Strict):
    """What another system calls a record; the three together name one record."""

    system: Word = Field(description="系统，如 espocrm")
    object: Word = Field(description="那里的对象，如 Account")
    id: Part = Field(description="那里的编号")

    def domain(self) -> ExternalId:
        """The same in the words of the domain."""
        return ExternalId(self.system, self.object, self.id)


class Identified(Strict):
    """An item that another system knows by an id."""

    external: External | None = Field(default=None, description="这条记录在对方系统中的编号")

    @property
    def external_id(self) -> ExternalId | None:
        """The id in the words of the domain."""
        return None if self.external is None else self.external.domain()


class FirmItem(Identified):
    """What is known about a firm; what is left out or null stays as it is."""

    firm_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="本系统的企业编号"
    )
    name: Short | None = Field(default=None, description="企业名称；新企业必填")
    uscc: Short | None = Field(default=None, description="统一社会信用代码")
    stock_code: Short | None = Field(default=None, description="证券代码")
    status: Short | None = Field(default=None, description="登记状态，如 存续")
    province: Short | None = None
    city: Short | None = None
    county: Short | None = None
    address: Annotated[str, Field(max_length=2000)] | None = None
    industry: Short | None = Field(default=None, description="国标行业代码或名称")
    industry_text: Short | None = Field(default=None, description="行业的原文写法")
    capital_10k_cny: Money | None = Field(default=None, description="注册资本，万元")
    capital_text: Short | None = Field(default=None, description="注册资本的原文写法")
    capital_paid_10k_cny: Money | None = Field(default=None, description="实缴资本，万元")
    founded: Day | None = Field(default=None, description="成立日期")
    size: Short | None = Field(default=None, description="企业规模")
    kind: Short | None = Field(default=None, description="企业类型")
    employees: Count | None = Field(default=None, description="参保人数")
    scope: Long | None = Field(default=None, description="经营范围")
    products: Parts | None = Field(default=None, description="主营产品")
    website: Annotated[str, Field(max_length=2000)] | None = None
    former_names: Parts | None = Field(default=None, description="曾用名")
    marks: Annotated[list[Mark], Field(max_length=50)] | None = Field(
        default=None, description="资质"
    )
    listing: Short | None = Field(default=None, description="上市状态")
    revenue_10k_cny: Money | None = Field(default=None, description="年营业收入，万元")
    patents: Count | None = Field(default=None, description="专利数")
    source: Short | None = Field(default=None, description="数据来源")

    def item(self) -> Item[FirmCells]:
        """As cells of a table, with the unit of money written out."""
        cells: dict[Col, str] = {}
        for name, value in self.model_dump(exclude={"external"}, exclude_none=True).items():
            column = Col(name.removesuffix("_10k_cny"))
            if isinstance(value, list):
                cells[column] = "；".join(value)
            elif name.endswith("_10k_cny"):
                cells[column] = f"{value!r}万元"
            else:
                cells[column] = str(value)
        if Col.CAPITAL_TEXT in cells:
            cells.setdefault(Col.CAPITAL, cells[Col.CAPITAL_TEXT])
        return Item(cells, self.external_id)


class TownItem(Identified, TownFields):
    """A whole town profile."""

    id: Text | None = Field(default=None, description="编号；对方编号已对应专业镇时可省略")

    def item(self) -> Item[TownProfile]:
        """As the mapping of a profile."""
        return Item(self.model_dump(exclude={"external"}, exclude_unset=True), self.external_id)


class LeadItem(Identified):
    """How far a town and a firm have come, as another system says now."""

    town_id: Text = Field(description="专业镇编号，或无歧义的名称")
    firm_id: Text = Field(description="企业编号、统一社会信用代码、证券代码或名称")
    stage: LeadStage = Field(description="到了哪个阶段，或怎样结束")
    date: Day | None = Field(default=None, description="发生的日期；默认今天，更正时默认原来的日期")
    reason: LeadReason | None = Field(default=None, description="原因")
    owner: Short = Field(default="", description="跟进人")
    note: Annotated[str, Field(max_length=2000)] = Field(default="", description="备注")
    list_id: Short = Field(default="", description="出自哪份名单（shortlist_id）")

    def item(self) -> Item[LeadContent]:
        """The same in the words of the hall."""
        return Item(
            LeadContent(
                self.town_id, self.firm_id, Stage(self.stage),
                date.fromisoformat(self.date) if self.date else None, self.reason or "",
                self.owner, self.note, self.list_id,
            ),
            self.external_id,
        )  # fmt: skip


class EventItem(Identified, EventBody):
    """What a firm did elsewhere, as another system says now."""

    def item(self) -> Item[Event]:
        """The same in the words of the domain."""
        return Item(
            Event(
                self.firm_id, date.fromisoformat(self.date), self.region, self.industry,
                self.target, self.kind, self.amount_10k_cny,
            ),
            self.external_id,
        )  # fmt: skip


# one bad item among good ones --------------------------------------------------------------


def _gentle(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """A good item, or why it is none: the others go on."""
    try:
        return validate(value)
    except ValidationError as error:
        found = readable_errors([{**e, "loc": ("body", *e["loc"])} for e in error.errors()])
        detail = "".join(f["detail"] for f in found[:3])
        fields = [f.get("pointer", "").removeprefix("/") for f in found]
        return Refused(ItemError("validation_failed", detail, fields), _external_of(value))


def _external_of(value: Any) -> ExternalId | None:
    """The external id of a bad item, so that its sender knows which one it was."""
    given = value.get("external") if isinstance(value, Mapping) else None
    try:
        return External.model_validate(given).domain()
    except ValidationError:
        return None


_Gentle = WrapValidator(_gentle)
_OF_ITEMS = Field(min_length=1, max_length=MAX_ITEMS, description=f"1 到 {MAX_ITEMS} 条")


class Upsert(Strict):
    """Items, and whether one bad item keeps all of them out."""

    all_or_none: bool = Field(default=False, description="true：有一条被拒绝就全部不写入")


class FirmsUpsert(Upsert):
    """Firms of another system."""

    items: Annotated[list[Annotated[FirmItem, _Gentle]], _OF_ITEMS]


class TownsUpsert(Upsert):
    """Towns of another system."""

    items: Annotated[list[Annotated[TownItem, _Gentle]], _OF_ITEMS]


class LeadsUpsert(Upsert):
    """Leads of another system."""

    items: Annotated[list[Annotated[LeadItem, _Gentle]], _OF_ITEMS]


class EventsUpsert(Upsert):
    """Events of another system."""

    items: Annotated[list[Annotated[EventItem, _Gentle]], _OF_ITEMS]


# answers -----------------------------------------------------------------------------------


class ItemProblem(Answer):
    """Why an item was rejected."""

    code: str = Field(description="供程序判断的错误代码")
    detail: str = Field(description="出了什么问题、怎么办")
    errors: list[dict[str, str]] = Field(description="逐条问题：detail、pointer（请求体位置）")


class ItemResult(Answer):
    """What became of one item."""

    index: int = Field(description="第几条，从 0 数起")
    status: Literal["created", "updated", "unchanged", "rejected"]
    id: str | None = Field(description="本系统的编号；被拒绝的为 null")
    external: ExternalView | None
    error: ItemProblem | None


class UpsertResult(Answer):
    """What became of every item, in their order."""

    results: list[ItemResult]
    created: int
    updated: int
    unchanged: int
    rejected: int
    batch: str | None = Field(description="企业有变动时的批次，可整批撤销；其他为 null")


class BatchView(Answer):
    """One import."""

    id: str
    kind: Literal["firms", "leads", "events"]
    file_name: str
    file_hash: str = Field(description="文件的 SHA-256")
    rows: int
    created: int
    updated: int
    unchanged: int
    created_at: datetime
    undone_at: datetime | None = Field(description="撤销的时间")


class BatchPage(Answer):
    """One page of imports, newest first."""

    items: list[BatchView]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


class UndoView(Answer):
    """What taking a batch back did."""

    batch: str
    kind: Literal["firms", "leads", "events"]
    removed: int = Field(description="删去的条数")
    restored: int = Field(description="恢复原样的条数")
    kept: int = Field(description="因后来的导入或人工记录也提到而保留的条数")
