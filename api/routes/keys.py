"""The keys of machines, for the security administrator."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from api.deps import ServiceDep
from api.openapi import answers, body_examples
from api.schemas_access import KeyBody, KeyIssued, KeyList, KeyView
from api.strict_route import StrictRoute
from api.views import answer
from api.views_access import key_view

router = APIRouter(prefix="/keys", route_class=StrictRoute, tags=["账号与密钥"])
KeyId = Annotated[
    str, Path(min_length=1, max_length=100, description="密钥编号", examples=["K8a1e2d3c4b5a"])
]
BodyDep = Annotated[KeyBody, Body(openapi_examples=body_examples("key"))]


@router.get("", summary="密钥列表", responses=answers("keys", KeyList))
def list_keys(service: ServiceDep) -> Response:
    """全部密钥，新的在前；过期和吊销的也在其中，密钥本身不再显示。"""
    return answer({"items": [key_view(k) for k in service.api_keys()]})


@router.post(
    "", summary="新建密钥", status_code=201, responses=answers("key_post", KeyIssued, status=201)
)
def add_key(service: ServiceDep, body: BodyDep) -> Response:
    """为对接系统新建密钥，密钥本身（secret）只显示这一次，系统只存它的摘要。"""
    key, secret = service.add_key(
        body.name, body.role, scopes=body.scopes, towns=body.towns, days=body.days
    )
    view = {"key": key_view(key), "secret": secret}
    return answer(view, 201, {"Location": f"/v1/keys/{key.id}"})


@router.get("/{key_id}", summary="一把密钥", responses=answers("key", KeyView))
def read_key(service: ServiceDep, key_id: KeyId) -> Response:
    """一把密钥的角色、权限、专业镇、期限和最近一次使用。"""
    return answer(key_view(service.api_key(key_id)))


@router.post("/{key_id}:revoke", summary="吊销密钥", responses=answers("key_revoke", KeyView))
def revoke_key(service: ServiceDep, key_id: KeyId) -> Response:
    """马上吊销，不能恢复；已吊销的保持原样。"""
    return answer(key_view(service.revoke_key(key_id)))
