"""The desk where others are told what happened: webhooks, their deliveries, and the changes."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from zyz_match import signing
from zyz_match.acting import actor
from zyz_match.domain import Receipt, Town
from zyz_match.errors import InputError, NotFoundError, StorageError
from zyz_match.settings import Settings
from zyz_match.storage import webhooks
from zyz_match.storage.deliveries import Delivery
from zyz_match.storage.key_files import key_of
from zyz_match.storage.outbox import TYPES, Change, Place, Told
from zyz_match.storage.store import Store
from zyz_match.storage.webhooks import Salt, Webhook
from zyz_match.targets import target_of

if TYPE_CHECKING:  # loaded where something is sent
    from zyz_match.sending import Reply

__all__ = ["TYPES", "Change", "Delivery", "HookDesk", "Place", "Told", "Webhook"]

KEY = "webhooks.key"  # in the home folder, beside the one that signs models
ROTATION = timedelta(hours=24)  # for which the secret before signs as well
TEST_TYPE = "webhook.test"
USER_AGENT = "zyz-match-webhooks/1"
_OTHER_KEY = (
    f"数据目录中的签名密钥 {KEY} 与建立这个推送时的不同。请放回原来的文件，"
    "或用 :rotate 换新密钥并告知对方。"
)


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent: a body with its headers."""

    body: bytes
    headers: Mapping[str, str]


class HookDesk:
    """What the hall does with webhooks; `Service` inherits it."""

    settings: Settings
    store: Store

    if TYPE_CHECKING:  # what the rest of the hall lends

        def _receipt(self, list_id: str) -> Receipt:
            """See `LeadDesk`."""

        def towns(self) -> list[Town]:
            """See `Service`."""

    # webhooks --------------------------------------------------------------------------------

    def webhooks(self) -> list[Webhook]:
        """The webhooks within the caller's towns, oldest first."""
        return [w for w in self.store.webhooks.every() if _is_mine(w)]

    def webhook(self, webhook_id: str) -> Webhook:
        """One webhook; NotFoundError when there is none, or it is about other towns."""
        found = self.store.webhooks.get(webhook_id)
        if not _is_mine(found):
            raise NotFoundError(f"没有推送“{webhook_id}”。可用 GET /v1/webhooks 查看全部。")
        return found

    def add_webhook(
        self, url: str, types: Sequence[str], towns: Collection[str] | None, note: str
    ) -> tuple[Webhook, str]:
        """A new webhook, and its secret, which is told this once.

        `types` () is every type; `towns` None is all that the caller sees. Raises InputError for
        an address that is not on the administrator's list, NotFoundError for a town that the
        caller does not see or that is not there.
        """
        self._check_url(url)
        if len(self.store.webhooks.every()) >= webhooks.MOST:
            raise InputError(f"推送最多 {webhooks.MOST} 个，请先删除不用的。")
        webhook_id = webhooks.new_id()
        salt, secret = self._new_secret(webhook_id)
        made = Webhook(
            webhook_id, url, tuple(dict.fromkeys(types)), self._within(towns), (salt,),
            note.strip(), created_at="", created_by="",
        )  # fmt: skip
        return self.store.webhooks.add(made), signing.shown(secret)

    def change_webhook(self, webhook_id: str, values: Mapping[str, Any]) -> Webhook:
        """Change what is given of url, types, towns, note; `enabled` False stops it for now."""
        found, rest = self.webhook(webhook_id), dict(values)
        enabled = rest.pop("enabled", None)
        if "url" in rest:
            self._check_url(rest["url"])
        if "towns" in rest:
            rest["towns"] = self._within(rest["towns"])
        if rest:
            found = self.store.webhooks.change(found.id, rest)
        if enabled is not None and enabled != (found.disabled_at is None):
            found = self.enable_webhook(found.id) if enabled else self._stop(found.id)
        return found

    def _stop(self, webhook_id: str) -> Webhook:
        return self.store.webhooks.disable(webhook_id, f"由“{actor().name}”停用。")

    def enable_webhook(self, webhook_id: str) -> Webhook:
        """Tell it again, beginning with what it missed."""
        return self.store.webhooks.enable(self.webhook(webhook_id).id)

    def rotate_webhook(self, webhook_id: str) -> tuple[Webhook, str]:
        """A new secret, told this once; the one before signs as well for another day."""
        found = self.webhook(webhook_id)
        salt, secret = self._new_secret(found.id)
        until = datetime.now(UTC) + ROTATION
        return self.store.webhooks.rotate(found.id, salt, until), signing.shown(secret)

    def remove_webhook(self, webhook_id: str) -> None:
        """Forget a webhook and its deliveries."""
        self.store.webhooks.remove(self.webhook(webhook_id).id)

    def test_webhook(self, webhook_id: str) -> "Reply":
        """Send one message of no meaning now, also to a webhook that is stopped."""
        from zyz_match.sending import Sender

        found, now = self.webhook(webhook_id), datetime.now(UTC)
        test = Change(
            0, f"evt_{uuid.uuid4().hex}", TEST_TYPE, "webhook", None,
            now.isoformat(timespec="milliseconds"), {"webhook_id": found.id},
        )  # fmt: skip
        made = self.post_of(found.id, found.salts, test)

        async def send() -> "Reply":
            async with Sender(self.settings.targets) as sender:
                return await sender.post(found.url, made.body, made.headers)

        return asyncio.run(send())

    def _within(self, towns: Collection[str] | None) -> tuple[str, ...] | None:
        """The towns that a webhook of this caller may be about."""
        seen = actor().towns
        if towns is None:
            return None if seen is None else tuple(sorted(seen))
        if beyond := sorted(set(towns) - {t.id for t in self.towns()}):
            raise NotFoundError(f"没有找到专业镇“{beyond[0]}”。")
        return tuple(sorted(set(towns)))

    def _check_url(self, url: str) -> None:
        target = target_of(url)
        if target not in self.settings.targets:
            raise InputError(
                f"{target} 不在允许推送的名单中。请管理员把它加入设置 ZYZ_WEBHOOK_TARGETS 后重启。"
            )

    # secrets ---------------------------------------------------------------------------------

    def _new_secret(self, webhook_id: str) -> tuple[Salt, bytes]:
        salt = secrets.token_hex(16)
        secret = self._secret(webhook_id, salt)
        return Salt(salt, signing.check_of(secret)), secret

    def _secret(self, webhook_id: str, salt: str) -> bytes:
        return signing.derived(key_of(self.settings.home / KEY), webhook_id, salt)

    def post_of(self, webhook_id: str, salts: Sequence[Salt], change: Change) -> Post:
        """A change as it is sent now, signed; the body and its id are the same at every try.

        Raises StorageError when the key is not the one that the secrets were made with.
        """
        now = datetime.now(UTC)
        moment = now.isoformat(timespec="milliseconds")
        newest, *before = (s for s in salts if s.until is None or s.until > moment)
        found = [self._secret(webhook_id, newest.salt)]
        if signing.check_of(found[0]) != newest.check:
            raise StorageError(_OTHER_KEY)
        older = ((self._secret(webhook_id, s.salt), s.check) for s in before)
        found += [secret for secret, check in older if signing.check_of(secret) == check]
        body = json.dumps(change.told(), ensure_ascii=False, separators=(",", ":")).encode()
        about = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        return Post(body, about | signing.headers_of(change.uid, now, body, found))

    # deliveries ------------------------------------------------------------------------------

    def deliveries(self, webhook_id: str, before: int | None, k: int) -> list[Delivery]:
        """What was and is to be delivered to a webhook, of the newest changes first."""
        return self.store.deliveries.of(self.webhook(webhook_id).id, before, k)

    def redeliver(self, delivery_id: int) -> Delivery:
        """Make a delivery once more; NotFoundError when there is none within the caller's sight."""
        found = self.store.deliveries.get(delivery_id)
        if not _is_mine(self.store.webhooks.get(found.webhook_id)):
            raise NotFoundError(f"没有投递“{delivery_id}”。")
        return self.store.deliveries.redeliver(delivery_id)

    # changes ---------------------------------------------------------------------------------

    def changes(self, after: Place, types: Collection[str], k: int) -> Told:
        """What happened after a place within the caller's towns, oldest first.

        CursorTooOld when what followed that place is not kept any more.
        """
        return self.store.outbox.read(after, types, actor().towns, k)

    def publish(self, list_id: str) -> tuple[bool, str]:
        """Note once that a list was handed on: whether that is new, and when it was."""
        return self.store.publish_shortlist(self._receipt(list_id).id)


def _is_mine(webhook: Webhook) -> bool:
    """Whether all that a webhook is told is within the caller's sight."""
    towns = actor().towns
    return towns is None or (webhook.towns is not None and towns.issuperset(webhook.towns))
