"""Commands about accounts and keys; a one-time password or a key is shown once."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zyz_match.access import SCOPE_NAMES
from zyz_match.acting import ROLE_NAMES, Role
from zyz_match.commands.chinese import ChineseCommand, ChineseGroup
from zyz_match.commands.lists import Json
from zyz_match.commands.office import emit_json, office, program
from zyz_match.console import Column, note, say, show_table
from zyz_match.errors import InputError

if TYPE_CHECKING:
    from zyz_match.access_desk import Account, ApiKey

ROLES = "、".join(f"{r} {ROLE_NAMES[r]}" for r in Role)
SCOPES = "、".join(f"{s} {n}" for s, n in SCOPE_NAMES.items())
Towns = Annotated[
    list[str] | None,
    typer.Option("--town", metavar="专业镇", help="限定在这个专业镇，可写多次；不写则不限。"),
]
AccountName = Annotated[str, typer.Argument(metavar="用户名", help="用户名，或账号编号。")]

user_app = typer.Typer(cls=ChineseGroup, no_args_is_help=True, rich_markup_mode="rich",
                       help="账号：新建、列出、重置密码、停用、恢复。")  # fmt: skip
key_app = typer.Typer(cls=ChineseGroup, no_args_is_help=True, rich_markup_mode="rich",
                      help="对接密钥：新建、列出、吊销。")  # fmt: skip


# accounts ------------------------------------------------------------------------------------


def add_user(
    name: Annotated[str | None, typer.Argument(metavar="用户名", help="新账号的用户名。")] = None,
    role: Annotated[str, typer.Option("--role", metavar="角色", help=f"角色：{ROLES}。")] = "",
    towns: Towns = None,
    label: Annotated[str, typer.Option("--label", metavar="说明", help="如姓名和单位。")] = "",
    oidc: Annotated[bool, typer.Option("--oidc", help="只用统一身份认证登录，不设密码。")] = False,
    first: Annotated[
        bool,
        typer.Option("--first", help="建立首批账号：市级管理员 admin 和安全管理员 security。"),
    ] = False,
) -> None:
    """新建账号，显示一次性密码；建了第一个账号，接口就启用身份认证。"""
    if first:
        if name or role or towns or label or oidc:
            raise InputError("--first 不能与其他参数同用。")
        with office() as (service, _):
            issued = service.add_first_accounts()
        show_issued(issued)
        return
    if not name or not role:
        raise InputError(f"请写明用户名和 --role。角色有：{ROLES}。")
    with office() as (service, _):
        account, password = service.add_account(name, role, label=label, towns=towns, oidc=oidc)
    if password:
        show_issued([(account, password)])
    else:
        say(f"已建账号 {account.name}（{ROLE_NAMES[account.role]}），用统一身份认证登录。", "green")


def show_issued(issued: "Sequence[tuple[Account, str]]") -> None:
    """Show one-time passwords, this once."""
    show_table(
        (Column("用户名", whole=True), Column("角色", whole=True),
         Column("一次性密码", whole=True)),
        [(a.name, ROLE_NAMES[a.role], password) for a, password in issued],
    )  # fmt: skip
    note("密码只显示这一次，请分别交给本人；首次登录须改密码。", "yellow")


def list_users(as_json: Json = False) -> None:
    """列出全部账号。"""
    with office() as (service, _):
        found = service.accounts()
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(found))
        return
    if not found:
        note(f"还没有账号，接口未启用身份认证。建立：{program()} user add --first", "yellow")
        return
    show_table(
        (Column("用户名", whole=True), Column("角色", whole=True), Column("专业镇"),
         Column("状态"), Column("说明"), Column("编号", whole=True)),
        [(a.name, ROLE_NAMES[a.role], _towns(a.towns), _standing(a), a.label, a.id)
         for a in found],
    )  # fmt: skip


def _standing(account: "Account") -> str:
    if account.disabled_at is not None:
        return f"已停用 {_time(account.disabled_at)}"
    if account.locked_until is not None and account.locked_until > datetime.now().astimezone():
        return f"锁定至 {_time(account.locked_until)}"
    return "待改密码" if account.must_change else "正常"


def reset_user(name: AccountName) -> None:
    """换一个一次性密码，解除锁定，并结束这个账号的全部会话。"""
    with office() as (service, _):
        issued = service.reset_password(name)
    show_issued([issued])


def disable_user(name: AccountName) -> None:
    """停用账号并结束它的全部会话，马上生效。"""
    with office() as (service, _):
        account = service.disable_account(name)
    say(f"已停用账号 {account.name}。恢复：{program()} user enable {account.name}", "green")


def enable_user(name: AccountName) -> None:
    """恢复停用的账号。"""
    with office() as (service, _):
        account = service.enable_account(name)
    say(f"已恢复账号 {account.name}。", "green")


# keys ----------------------------------------------------------------------------------------


def add_key(
    name: Annotated[str, typer.Argument(metavar="名称", help="如对接系统名。")],
    role: Annotated[str, typer.Option("--role", metavar="角色", help=f"角色：{ROLES}。")] = "crm",
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="权限",
                     help=f"可写多次：{SCOPES}。不写则为 read、write。"),
    ] = None,
    towns: Towns = None,
    days: Annotated[
        int | None, typer.Option("--days", metavar="天数", help="有效天数，不写则不过期。")
    ] = None,
) -> None:  # fmt: skip
    """为对接系统新建密钥；密钥本身只显示这一次。"""
    chosen: dict[str, Any] = {"scopes": scopes} if scopes else {}
    with office() as (service, _):
        key, secret = service.add_key(name, role, towns=towns, days=days, **chosen)
    say(secret)
    until = f"，有效至 {_time(key.expires_at)}" if key.expires_at else ""
    note(
        f"已建密钥 {key.name}（{ROLE_NAMES[key.role]}，编号 {key.id}{until}）。"
        "密钥只显示这一次，请妥善保管。",
        "yellow",
    )


def list_keys(as_json: Json = False) -> None:
    """列出全部密钥，新的在前；密钥本身不再显示。"""
    with office() as (service, _):
        found = service.api_keys()
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(found))
        return
    if not found:
        note(f"还没有密钥。新建：{program()} key add 名称", "yellow")
        return
    show_table(
        (Column("编号", whole=True), Column("名称", whole=True), Column("角色", whole=True),
         Column("权限"), Column("专业镇"), Column("状态"), Column("最近使用", whole=True)),
        [(k.id, k.name, ROLE_NAMES[k.role], "、".join(k.scopes), _towns(k.towns), _force(k),
          _time(k.used_at)) for k in found],
    )  # fmt: skip


def _force(key: "ApiKey") -> str:
    if key.revoked_at is not None:
        return f"已吊销 {_time(key.revoked_at)}"
    if key.expires_at is None:
        return "有效"
    ended = key.expires_at <= datetime.now().astimezone()
    return f"{'已过期' if ended else '有效至'} {_time(key.expires_at)}"


def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="编号", help="见 key list。")],
) -> None:
    """马上吊销一把密钥，不能恢复。"""
    with office() as (service, _):
        key = service.revoke_key(key_id)
    say(f"已吊销密钥 {key.name}（{key.id}）。", "green")


def _towns(towns: tuple[str, ...] | None) -> str:
    return "不限" if towns is None else "、".join(towns)


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""


for _group, _name, _function in (
    (user_app, "add", add_user), (user_app, "list", list_users), (user_app, "reset", reset_user),
    (user_app, "disable", disable_user), (user_app, "enable", enable_user),
    (key_app, "add", add_key), (key_app, "list", list_keys), (key_app, "revoke", revoke_key),
):  # fmt: skip
    _group.command(_name, cls=ChineseCommand)(_function)
