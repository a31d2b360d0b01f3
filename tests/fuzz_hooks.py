"""What schemathesis cannot know by itself; loaded by it through SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

# a request that fits the description may be refused for what it says (no such firm, an old cursor,
# a stage that goes back), but never with one of these, which speak of its shape
OF_SHAPE = frozenset(
    {"validation_failed", "invalid_query", "invalid_json", "bad_request", "duplicate_key",
     "too_deep", "unsupported_media_type", "invalid_encoding", "method_not_allowed"}
)  # fmt: skip


@schemathesis.check
def refused_for_what_it_says(ctx: CheckContext, response: Response, case: "Case[Any]") -> None:
    """The description says everything about the shape of a request."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in (400, 422):
        code = response.json()["code"]
        assert code not in OF_SHAPE, f"{code}: {response.json()['detail']}"


@schemathesis.check
def what_is_wrong_is_rejected(ctx: CheckContext, response: Response, case: "Case[Any]") -> None:
    """An upsert answers 200 to wrong items only with the verdict that they are."""
    if case.meta is None or not case.operation.path.endswith(":upsert"):
        return
    if case.meta.generation.mode.is_negative and response.status_code == 200:
        assert response.json()["rejected"], "accepted what the description does not allow"
