"""Who may ask for what: one row a method and path; what has no row is nobody's."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from starlette.routing import compile_path

from zyz_match.access import Scope
from zyz_match.acting import Role

_ADMIN, _TOWN, _ANALYST = Role.ADMIN, Role.TOWN, Role.ANALYST
_SECURITY, _AUDITOR, _CRM = Role.SECURITY, Role.AUDITOR, Role.CRM

EVERYBODY = frozenset(Role)
_OFFICE = frozenset({_ADMIN, _TOWN, _ANALYST, _CRM})  # who sees towns, firms and lists
_WRITERS = frozenset({_ADMIN, _TOWN, _CRM})  # of towns and leads, each within its own towns
_SOURCES = frozenset({_ADMIN, _CRM})  # of what is about no town
_WATCHERS = frozenset({_ADMIN, _ANALYST})
_ADMINS = frozenset({_ADMIN})
_KEEPERS = frozenset({_SECURITY})
_AUDITORS = frozenset({_AUDITOR})


class Rule(NamedTuple):
    """Who may ask; None is everybody, known or not."""

    roles: frozenset[Role] | None
    scope: Scope = Scope.READ


_READ, _WRITE, _WEBHOOKS = Scope.READ, Scope.WRITE, Scope.WEBHOOKS
PUBLIC = Rule(None)

# a HEAD is a GET
RULES: dict[tuple[str, str], Rule] = {
    # the service itself
    ("GET", "/livez"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): Rule(_ADMINS),
    ("GET", "/v1/healthz"): Rule(EVERYBODY),
    ("GET", "/"): Rule(EVERYBODY),
    ("GET", "/docs"): Rule(EVERYBODY),
    ("GET", "/docs/static/{path:path}"): Rule(EVERYBODY),
    ("GET", "/openapi.json"): Rule(EVERYBODY),
    # sessions
    ("POST", "/v1/session"): PUBLIC,
    ("GET", "/v1/session"): Rule(EVERYBODY),
    ("DELETE", "/v1/session"): Rule(EVERYBODY),
    ("POST", "/v1/session/password"): Rule(EVERYBODY),
    ("GET", "/v1/session/oidc"): PUBLIC,
    ("GET", "/v1/session/oidc/callback"): PUBLIC,
    # accounts and keys
    ("GET", "/v1/accounts"): Rule(_KEEPERS),
    ("POST", "/v1/accounts"): Rule(_KEEPERS, _WRITE),
    ("GET", "/v1/accounts/{account_id}"): Rule(_KEEPERS),
    ("PATCH", "/v1/accounts/{account_id}"): Rule(_KEEPERS, _WRITE),
    ("POST", "/v1/accounts/{account_id}:reset"): Rule(_KEEPERS, _WRITE),
    ("POST", "/v1/accounts/{account_id}:disable"): Rule(_KEEPERS, _WRITE),
    ("POST", "/v1/accounts/{account_id}:enable"): Rule(_KEEPERS, _WRITE),
    ("GET", "/v1/keys"): Rule(_KEEPERS),
    ("POST", "/v1/keys"): Rule(_KEEPERS, _WRITE),
    ("GET", "/v1/keys/{key_id}"): Rule(_KEEPERS),
    ("POST", "/v1/keys/{key_id}:revoke"): Rule(_KEEPERS, _WRITE),
    # audit
    ("GET", "/v1/audit"): Rule(_AUDITORS),
    # towns and their lists
    ("GET", "/v1/towns"): Rule(_OFFICE),
    ("GET", "/v1/towns/{town_id}"): Rule(_OFFICE),
    ("PUT", "/v1/towns/{town_id}"): Rule(_WRITERS, _WRITE),
    ("POST", "/v1/towns:upsert"): Rule(_WRITERS, _WRITE),
    ("GET", "/v1/towns/{town_id}/matches"): Rule(_OFFICE),
    ("GET", "/v1/towns/{town_id}/matches/{firm_id}"): Rule(_OFFICE),
    ("POST", "/v1/matches"): Rule(_OFFICE),
    ("GET", "/v1/lists/{list_id}"): Rule(_OFFICE),
    ("POST", "/v1/lists/{list_id}:publish"): Rule(frozenset({_ADMIN, _TOWN}), _WRITE),
    # firms
    ("GET", "/v1/firms"): Rule(_OFFICE),
    ("POST", "/v1/firms:upsert"): Rule(_SOURCES, _WRITE),
    ("GET", "/v1/firms/{firm_id}"): Rule(_OFFICE),
    ("GET", "/v1/firms/{firm_id}/towns"): Rule(_OFFICE),
    ("GET", "/v1/firms/{firm_id}/similar"): Rule(_OFFICE),
    ("GET", "/v1/firms/{firm_id}/contacts"): Rule(_OFFICE),
    ("DELETE", "/v1/firms/{firm_id}/contacts"): Rule(_ADMINS, _WRITE),
    # leads and events
    ("GET", "/v1/leads"): Rule(_OFFICE),
    ("POST", "/v1/leads"): Rule(_WRITERS, _WRITE),
    ("GET", "/v1/leads/{lead_id}"): Rule(_OFFICE),
    ("POST", "/v1/leads:upsert"): Rule(_WRITERS, _WRITE),
    ("GET", "/v1/events"): Rule(_OFFICE),
    ("POST", "/v1/events"): Rule(_SOURCES, _WRITE),
    ("POST", "/v1/events:upsert"): Rule(_SOURCES, _WRITE),
    # files and jobs
    ("POST", "/v1/imports"): Rule(_ADMINS, _WRITE),
    ("GET", "/v1/imports"): Rule(_WATCHERS),
    ("GET", "/v1/imports/{batch}"): Rule(_WATCHERS),
    ("POST", "/v1/imports/{batch}:undo"): Rule(_ADMINS, _WRITE),
    ("GET", "/v1/jobs"): Rule(_WATCHERS),
    ("GET", "/v1/jobs/{job_id}"): Rule(_WATCHERS),
    ("GET", "/v1/jobs/{job_id}/rejects"): Rule(_ADMINS),
    ("POST", "/v1/jobs/{job_id}:cancel"): Rule(_ADMINS, _WRITE),
    # models
    ("GET", "/v1/models"): Rule(_WATCHERS),
    ("GET", "/v1/models/{version}"): Rule(_WATCHERS),
    ("POST", "/v1/models/{version}:promote"): Rule(_ADMINS, _WRITE),
    ("POST", "/v1/models:retrain"): Rule(_ADMINS, _WRITE),
    ("POST", "/v1/models:rollback"): Rule(_ADMINS, _WRITE),
    ("GET", "/v1/watch"): Rule(_WATCHERS),
    # what others are told, and tell
    ("GET", "/v1/changes"): Rule(_OFFICE),
    ("GET", "/v1/webhooks"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/webhooks"): Rule(_SOURCES, _WEBHOOKS),
    ("GET", "/v1/webhooks/{webhook_id}"): Rule(_SOURCES, _WEBHOOKS),
    ("PATCH", "/v1/webhooks/{webhook_id}"): Rule(_SOURCES, _WEBHOOKS),
    ("DELETE", "/v1/webhooks/{webhook_id}"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/webhooks/{webhook_id}:test"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/webhooks/{webhook_id}:rotate"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/webhooks/{webhook_id}:enable"): Rule(_SOURCES, _WEBHOOKS),
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/deliveries/{delivery_id}:redeliver"): Rule(_SOURCES, _WEBHOOKS),
    ("POST", "/v1/hooks/{system}"): PUBLIC,  # it carries the other system's own signature
    ("GET", "/v1/hooks/{system}/messages"): Rule(_ADMINS),
    ("POST", "/v1/hooks/{system}/messages/{message_id}:retry"): Rule(_ADMINS, _WRITE),
}  # fmt: skip

# until a password that somebody else gave out is changed
BEFORE_CHANGE = frozenset(
    {("GET", "/v1/session"), ("DELETE", "/v1/session"), ("POST", "/v1/session/password")}
)


class Found(NamedTuple):
    """The row that a request falls under."""

    method: str
    template: str
    rule: Rule


class Table:
    """Rows found by method and path."""

    def __init__(self, rules: dict[tuple[str, str], Rule]) -> None:
        self._exact = {row: Found(*row, rule) for row, rule in rules.items() if "{" not in row[1]}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Found]]] = {}
        for (method, template), rule in rules.items():
            if "{" in template:
                found = (compile_path(template)[0], Found(method, template, rule))
                self._patterns.setdefault(method, []).append(found)

    def find(self, method: str, path: str) -> Found | None:
        """The row of a request; None when there is no such address, or not with this method."""
        asked = "GET" if method == "HEAD" else method
        if (found := self._exact.get((asked, path))) is not None:
            return found
        rows = self._patterns.get(asked, ())
        return next((row for pattern, row in rows if pattern.match(path)), None)

    def methods(self, path: str) -> list[str]:
        """The methods that an address has; of `x:cancel` those of the verb, not those of an `x`."""
        known: Iterable[str] = {m for m, _ in self._exact} | set(self._patterns)
        found = {m: row for m in known if (row := self.find(m, path)) is not None}
        verbs = [m for m, row in found.items() if "}:" in row.template]
        return sorted(verbs or found)


TABLE = Table(RULES)
