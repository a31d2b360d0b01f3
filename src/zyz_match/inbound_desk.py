"""The desk where other systems' messages come in: verified, kept, then applied once each."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from zyz_match.acting import Actor, Role, acting
from zyz_match.crm_maps import Step, System, read_systems, records_of, step_of
from zyz_match.days import day_of
from zyz_match.domain import ExternalId, Firm, LeadEntry, Town
from zyz_match.errors import InputError, NotFoundError, StorageError, ZyzError
from zyz_match.hooks_desk import HookDesk
from zyz_match.signing import Incoming, verified
from zyz_match.storage.inbound import Message, Place, State, Wanted

__all__ = ["InboundDesk", "Message", "Place", "State"]

LOG = logging.getLogger(__name__)
AT_ONCE = 50  # messages applied in one go
MAX_ID = 200  # signs of another system's id, as for what it sends by upsert
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_NO_PAIR = "记录没有写明专业镇和企业，也没有以这个编号记过进展；请核对字段对照（ZYZ_HOOKS）。"


class InboundDesk(HookDesk):
    """What the hall does with messages of other systems."""

    _systems: dict[str, System] | None = None

    if TYPE_CHECKING:  # what the rest of the hall lends

        def town(self, text: str) -> Town:
            """See `Service`."""

        def firm(self, text: str) -> Firm:
            """See `Service`."""

    def hook_system(self, name: str) -> System:
        """The system of this name; NotFoundError when none is set up."""
        if self._systems is None:
            self._systems = read_systems(self.settings.hooks)
        if name not in self._systems:
            raise NotFoundError(f"没有设置系统“{name}”。请管理员在 ZYZ_HOOKS 的文件中加上它。")
        return self._systems[name]

    def receive(self, system: str, message: Incoming, check: Callable[[bytes], object]) -> Message:
        """Keep a message for good once its signature holds; the same again is not kept.

        `check` raises for a signed body that cannot be kept. Raises BadSignature for a message that
        is not signed by the system, or comes too late.
        """
        known = self.hook_system(system)
        found = verified(known.scheme, message, known.secrets)
        check(message.body)
        message_id = found if _PLAIN_ID.fullmatch(found) else sha256(found.encode()).hexdigest()
        self.store.inbox.keep(system, message_id, message.body.decode())
        return self.store.inbox.get(system, message_id)

    def apply_inbox(self) -> int:
        """Apply the messages that wait, oldest first; how many were tried.

        One that cannot be stored waits on and holds up no other; StorageError when two in a row
        cannot be, which is the store's fault.
        """
        waiting, failed = self.store.inbox.waiting(AT_ONCE), False
        for message in waiting:
            try:
                self._apply(message)
            except StorageError as error:
                if failed:
                    raise
                LOG.warning("message %s:%s waits: %s", message.system, message.id, error.message)
                failed = True
            else:
                failed = False
        return len(waiting)

    def messages(
        self, system: str, state: State | None, before: Place | None, k: int
    ) -> list[Message]:
        """Messages of a system, newest first."""
        return self.store.inbox.of(self.hook_system(system).name, state, before, k)

    def retry_message(self, system: str, message_id: str) -> Message:
        """Apply a refused message again, now that what it lacked may be there."""
        return self._apply(self.store.inbox.retry(self.hook_system(system).name, message_id))

    def _apply(self, message: Message) -> Message:
        try:
            known = self.hook_system(message.system)
        except NotFoundError as error:  # it was taken out of the file since
            return self.store.inbox.apply(message, [Wanted(refused=error.message)])
        who = Actor(f"hook:{known.name}", Role.CRM, "api", known.towns)
        with acting(who):
            return self.store.inbox.apply(message, self._wanted(known, message))

    def _wanted(self, system: System, message: Message) -> Sequence[Wanted]:
        try:
            records = records_of(json.loads(message.body))
        except InputError as error:
            return [Wanted(refused=error.message)]
        return [self._one(system, message, record) for record in records]

    def _one(self, system: System, message: Message, record: Any) -> Wanted:
        try:
            return self._entry(system, message, step_of(system.map, record))
        except StorageError:
            raise
        except ZyzError as error:
            return Wanted(refused=error.message)
        except Exception as error:  # ours to mend: it is refused by name, and the others go on
            kind = type(error).__qualname__
            LOG.error("message %s:%s: %s", message.system, message.id, kind)
            return Wanted(refused=f"程序处理这条记录时出错（{kind}），请把消息编号交给管理员。")

    def _entry(self, system: System, message: Message, step: Step) -> Wanted:
        if len(step.id) > MAX_ID:
            raise InputError(f"记录的编号超过 {MAX_ID} 个字。")
        external = ExternalId(system.name, system.map.object, step.id) if step.id else None
        if step.stage is None:
            return Wanted()
        town, firm = step.town, step.firm
        if external is not None and not (town and firm):
            known = self.store.inbox.pair_of(external)
            town, firm = town or (known[0] if known else ""), firm or (known[1] if known else "")
        if not (town and firm):
            raise InputError(_NO_PAIR)
        day = step.date or day_of(datetime.fromisoformat(message.received_at))
        entry = LeadEntry(
            0, self.town(town).id, self.firm(firm).firm_id, day, step.stage, step.reason,
            step.owner, step.note, step.list_id, via="hook",
        )  # fmt: skip
        return Wanted(entry, external)
