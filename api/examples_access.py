"""Examples of answers about sessions, accounts and keys, made up (合成)."""

from typing import Any

_CALLER: dict[str, Any] = {
    "name": "zhangsan",
    "label": "合成铸造专班 张三",
    "role": "town",
    "role_name": "专业镇专班",
    "kind": "session",
    "towns": ["zezhou-casting"],
    "scopes": ["read", "write", "webhooks"],
    "must_change": False,
    "expires_at": "2026-11-24T14:00:00Z",
}

_ACCOUNT: dict[str, Any] = {
    "id": "U4f0c2a7e9d5b",
    "name": "zhangsan",
    "label": "合成铸造专班 张三",
    "role": "town",
    "role_name": "专业镇专班",
    "towns": ["zezhou-casting"],
    "password": True,
    "oidc": False,
    "must_change": True,
    "locked_until": None,
    "created_at": "2026-11-24T02:00:00Z",
    "disabled_at": None,
}

_KEY: dict[str, Any] = {
    "id": "K8a1e2d3c4b5a",
    "name": "odoo",
    "role": "crm",
    "role_name": "对接系统",
    "scopes": ["read", "write"],
    "towns": None,
    "created_at": "2026-11-24T02:00:00Z",
    "created_by": "security",
    "expires_at": "2027-11-24T02:00:00Z",
    "revoked_at": None,
    "used_at": "2026-11-24T03:21:00Z",
}

ACCESS_ANSWERS: dict[str, dict[str, Any]] = {
    "session": _CALLER,
    "sign_in": {**_CALLER, "must_change": True},
    "sign_out": {"signed_out": True},
    "session_password": _CALLER,
    "accounts": {"items": [_ACCOUNT]},
    "account": _ACCOUNT,
    "account_post": {"account": _ACCOUNT, "one_time_password": "abcd-efgh-jkmn-pqrs"},
    "account_change": {**_ACCOUNT, "towns": None, "role": "analyst", "role_name": "分析员"},
    "account_reset": {"account": _ACCOUNT, "one_time_password": "abcd-efgh-jkmn-pqrs"},
    "account_disable": {**_ACCOUNT, "disabled_at": "2026-11-25T02:00:00Z"},
    "account_enable": _ACCOUNT,
    "keys": {"items": [_KEY]},
    "key": _KEY,
    "key_post": {"key": {**_KEY, "used_at": None}, "secret": "zyz_（示意）"},
    "key_revoke": {**_KEY, "revoked_at": "2026-11-25T02:00:00Z"},
}

ACCESS_BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sign_in": ("用户名和密码", {"name": "zhangsan", "password": "（示意）"}),
    "password": ("改密码", {"old": "（示意）", "new": "（示意，至少 12 个字符）"}),
    "account": (
        "一个专业镇专班账号",
        {"name": "zhangsan", "role": "town", "label": "合成铸造专班 张三",
         "towns": ["zezhou-casting"]},
    ),
    "account_change": ("换一个专业镇", {"towns": ["gaoping-pear"]}),
    "key": ("一把对接密钥", {"name": "odoo", "role": "crm", "days": 365}),
}  # fmt: skip
