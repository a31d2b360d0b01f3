"""What a route asks for."""

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from api.pages import MatchQuery
from api.problems import Refusal
from api.schemas import MAX_PAGE, FilterFields, Include, TownBody
from zyz_match.domain import Filters, Town
from zyz_match.profiles import town_from
from zyz_match.service import Service

TownId = Annotated[
    str,
    Path(
        min_length=1, max_length=200, description="专业镇编号，或无歧义的名称",
        examples=["zezhou-casting"],
    ),
]  # fmt: skip
FirmId = Annotated[
    str,
    Path(
        min_length=1, max_length=200, description="企业编号、统一社会信用代码、证券代码或名称",
        examples=["600000"],
    ),
]  # fmt: skip
Version = Annotated[
    str,
    Path(
        min_length=1, max_length=100, description="模型版本，或其中无歧义的一段",
        examples=["prior-1"],
    ),
]  # fmt: skip
JobId = Annotated[
    str,
    Path(
        min_length=1, max_length=100, description="任务编号",
        examples=["J2026112402000000a1b2c"],
    ),
]  # fmt: skip
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="返回条数", examples=[20])]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=2000, description="上一页的 next_cursor")
]


async def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


async def _filters(fields: Annotated[FilterFields, Query()]) -> Filters:
    return fields.filters()


async def _included(
    include: Annotated[
        list[Include],
        Query(
            max_length=5,
            description="reasons：带上各项得分和依据；features：带上各项特征值；可重复",
        ),
    ] = [],  # noqa: B006  # read only; the framework copies defaults
) -> frozenset[str]:
    return frozenset(include)


ServiceDep = Annotated[Service, Depends(_service)]
FilterDep = Annotated[Filters, Depends(_filters)]
Included = Annotated[frozenset[str], Depends(_included)]
ListId = Annotated[
    str,
    Path(
        min_length=1, max_length=200, description="名单留痕编号（shortlist_id）",
        examples=["L20261124020000ab3f1"],
    ),
]  # fmt: skip


async def _query(
    filters: FilterDep,
    include: Included,
    diversify: Annotated[bool, Query(description="按产业链环节分散；只有一页")] = False,
) -> MatchQuery:
    return MatchQuery(filters, diversify, include)


QueryDep = Annotated[MatchQuery, Depends(_query)]


def town_of(body: TownBody, town_id: str) -> Town:
    """The town that a body describes under the id of the path."""
    if body.id not in (None, town_id):
        raise Refusal(
            422, "id_mismatch", f"请求体的 id“{body.id}”与路径的“{town_id}”不同，请改成一致。",
            errors=[{"detail": "id 与路径不一致。", "pointer": "/id"}],
        )  # fmt: skip
    return town_from({**body.model_dump(exclude_unset=True), "id": town_id})


def warm_up(service: Service) -> None:
    """Fit and compile by ranking an empty profile, so that no user waits.

    Of several workers one does it, and the others find what it made.
    """
    with service.alone("warm-up"):
        service.rank(Town("warm-up", "预热"), k=1, keep=False)
