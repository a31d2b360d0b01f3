"""The accounts of people, for the security administrator."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from api.deps import ServiceDep
from api.openapi import answers, body_examples
from api.schemas_access import (
    AccountBody,
    AccountChange,
    AccountIssued,
    AccountList,
    AccountView,
)
from api.strict_route import StrictRoute
from api.views import answer
from api.views_access import account_view

router = APIRouter(prefix="/accounts", route_class=StrictRoute, tags=["账号与密钥"])
AccountId = Annotated[
    str, Path(min_length=1, max_length=100, description="账号编号", examples=["U4f0c2a7e9d5b"])
]
BodyDep = Annotated[AccountBody, Body(openapi_examples=body_examples("account"))]
ChangeDep = Annotated[AccountChange, Body(openapi_examples=body_examples("account_change"))]


@router.get("", summary="账号列表", responses=answers("accounts", AccountList))
def list_accounts(service: ServiceDep) -> Response:
    """全部账号，按用户名排序；停用的也在其中。"""
    return answer({"items": [account_view(a) for a in service.accounts()]})


@router.post(
    "", summary="新建账号", status_code=201,
    responses=answers("account_post", AccountIssued, status=201),
)  # fmt: skip
def add_account(service: ServiceDep, body: BodyDep) -> Response:
    """新建账号并给出一次性密码，只显示这一次；首次登录须改密码。"""
    account, password = service.add_account(
        body.name, body.role, label=body.label, towns=body.towns, oidc=body.oidc
    )
    view = {"account": account_view(account), "one_time_password": password or None}
    return answer(view, 201, {"Location": f"/v1/accounts/{account.id}"})


@router.get("/{account_id}", summary="一个账号", responses=answers("account", AccountView))
def read_account(service: ServiceDep, account_id: AccountId) -> Response:
    """一个账号的角色、专业镇和状态。"""
    return answer(account_view(service.account(account_id)))


@router.patch("/{account_id}", summary="修改账号", responses=answers("account_change", AccountView))
def change_account(service: ServiceDep, account_id: AccountId, body: ChangeDep) -> Response:
    """改角色、说明或专业镇，下一个请求起生效；没写的不改。"""
    changed = service.change_account(
        account_id, role=body.role, label=body.label, towns=body.towns,
        every_town="towns" in body.model_fields_set,
    )  # fmt: skip
    return answer(account_view(changed))


@router.post(
    "/{account_id}:reset", summary="重置密码", responses=answers("account_reset", AccountIssued)
)
def reset_password(service: ServiceDep, account_id: AccountId) -> Response:
    """换一个一次性密码，只显示这一次；同时解除锁定，并结束这个账号的全部会话。"""
    account, password = service.reset_password(account_id)
    return answer({"account": account_view(account), "one_time_password": password})


@router.post(
    "/{account_id}:disable", summary="停用账号", responses=answers("account_disable", AccountView)
)
def disable_account(service: ServiceDep, account_id: AccountId) -> Response:
    """停用账号并结束它的全部会话，马上生效；最后一个安全管理员不能停用。"""
    return answer(account_view(service.disable_account(account_id)))


@router.post(
    "/{account_id}:enable", summary="恢复账号", responses=answers("account_enable", AccountView)
)
def enable_account(service: ServiceDep, account_id: AccountId) -> Response:
    """恢复停用的账号；密码不变。"""
    return answer(account_view(service.enable_account(account_id)))
