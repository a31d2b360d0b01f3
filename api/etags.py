"""Entity tags: an answer to GET names its content, and what has not changed is not sent again."""

import hashlib
import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from api.problems import Refusal
from api.strict_route import Handler, StrictRoute
from api.views import Answer

TAG = r'(?:W/)?"[!#-~]*"'
LIST = rf"{TAG}(?: *, *{TAG})*"  # as the interface description gives it
_EACH = re.compile(r'(W/)?("[!#-~]*")')


def tag_of(body: bytes) -> str:
    """The strong tag of a content."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def _given(values: Sequence[str], header: str) -> list[tuple[bool, str]] | None:
    """(weak, tag) of every tag of a condition; None for `*`."""
    text = ",".join(values).strip()
    if text == "*":
        return None
    if not re.fullmatch(LIST, text):
        raise Refusal(
            400, "invalid_etag", f'{header} 应为 ETag（带引号，例："3fa9c2"）或 *，多个用逗号分隔。'
        )
    return [(bool(weak), tag) for weak, tag in _EACH.findall(text)]


def is_known(request: Request, tag: str | None) -> bool:
    """Whether the caller has this content already (If-None-Match); None is nothing to have."""
    values = request.headers.getlist("if-none-match")
    if not values:
        return False
    given = _given(values, "If-None-Match")
    return tag is not None and (given is None or tag in {t for _, t in given})


def _is_as_known(request: Request, tag: str | None) -> bool:
    """Whether the content is the one that the caller means, if it says so (If-Match)."""
    values = request.headers.getlist("if-match")
    if not values:
        return True
    given = _given(values, "If-Match")
    return tag is not None and (given is None or (False, tag) in given)


def check_match(request: Request, now: bytes | None) -> None:
    """Refuse a change of something that is not as the caller knows it, or must not be there yet.

    `now` is the body that a GET would answer, None when there is nothing.
    """
    tag = None if now is None else tag_of(now)
    if not _is_as_known(request, tag):
        raise Refusal(
            412, "precondition_failed",
            "内容已被别人改过（或不存在），未写入。请重新 GET，在新内容上修改，"
            "带上新的 ETag 再发。",
        )  # fmt: skip
    if is_known(request, tag):
        raise Refusal(
            412, "precondition_failed",
            "已经有了（If-None-Match），未写入。要新建请换编号；"
            "要修改请重新 GET，带 If-Match 再发。",
        )  # fmt: skip


class TaggedRoute(StrictRoute):
    """A route whose good answers to GET bear a tag."""

    async def respond(self, request: Request, handle: Handler) -> Response:
        """The answer, or 304 for who has it."""
        response = await super().respond(request, handle)
        if request.method != "GET" or response.status_code != 200:
            return response
        if isinstance(response, Answer):
            tag = tag_of(bytes(response.body))
            if is_known(request, tag):
                return Response(status_code=304, headers={"ETag": tag})
            response.headers["ETag"] = tag
        return response
