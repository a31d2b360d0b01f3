"""Callers, accounts and keys as what the door answers."""

from api.views import View
from zyz_match.access import Caller
from zyz_match.access_desk import Account, ApiKey
from zyz_match.acting import ROLE_NAMES


def caller_view(caller: Caller) -> View:
    """Who is asking."""
    return {
        "name": caller.name,
        "label": caller.label or None,
        "role": caller.role,
        "role_name": ROLE_NAMES[caller.role],
        "kind": caller.kind,
        "towns": None if caller.towns is None else sorted(caller.towns),
        "scopes": sorted(caller.scopes),
        "must_change": caller.must_change,
        "expires_at": caller.expires_at,
    }


def account_view(account: Account) -> View:
    """One account."""
    return {
        "id": account.id,
        "name": account.name,
        "label": account.label or None,
        "role": account.role,
        "role_name": ROLE_NAMES[account.role],
        "towns": account.towns,
        "password": account.has_password,
        "oidc": account.has_subject,
        "must_change": account.must_change,
        "locked_until": account.locked_until,
        "created_at": account.created_at,
        "disabled_at": account.disabled_at,
    }


def key_view(key: ApiKey) -> View:
    """One key."""
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "role_name": ROLE_NAMES[key.role],
        "scopes": key.scopes,
        "towns": key.towns,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "used_at": key.used_at,
    }
