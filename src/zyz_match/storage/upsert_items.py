"""The items of an upsert, what became of each, and the external ids that they come under."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from sqlalchemy.engine import Connection

from zyz_match.domain import ExternalId
from zyz_match.errors import InputError, NotFoundError, ZyzError
from zyz_match.storage import external_ids
from zyz_match.storage.external_ids import KIND_NAMES, Kind

Status = Literal["created", "updated", "unchanged", "rejected"]
STATUSES: tuple[Status, ...] = ("created", "updated", "unchanged", "rejected")
Content = TypeVar("Content")


class ItemError(InputError):
    """An item that cannot be taken; `fields` are those of its columns that are wrong."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.fields = tuple(fields)


@dataclass(frozen=True, slots=True)
class Item(Generic[Content]):
    """One record as another system gives it."""

    content: Content
    external: ExternalId | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one item; `id` is ours, "" for a rejected one."""

    status: Status
    id: str = ""
    external: ExternalId | None = None
    error: ZyzError | None = None  # of a rejected one


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of every item, in their order."""

    results: tuple[Result, ...]
    written: bool = True  # False: one was rejected and all or none were asked for
    batch: str = ""  # by which firms are taken back; "" when none was changed

    def count(self, status: Status) -> int:
        """How many items came out like this."""
        return sum(r.status == status for r in self.results)


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that is refused before it is compared with the store."""

    error: ZyzError
    external: ExternalId | None = None


Given = Item[Content] | Refused


def each(
    items: Iterable[Given[Content]], take: Callable[[int, Item[Content]], tuple[Status, str]]
) -> tuple[Result, ...]:
    """Take the items in order; `take` gets the place of each and says status and own id."""
    results = []
    for at, item in enumerate(items):
        if isinstance(item, Refused):
            results.append(Result("rejected", "", item.external, item.error))
            continue
        try:
            status, own_id = take(at, item)
        except (InputError, NotFoundError) as error:
            results.append(Result("rejected", "", item.external, error))
        else:
            results.append(Result(status, own_id, item.external))
    return tuple(results)


class Links:
    """The external ids of one call: those known before, and those that it brings."""

    def __init__(self, connection: Connection, kind: Kind, items: Iterable[Given[Content]]) -> None:
        self._connection, self._kind = connection, kind
        given = (i.external for i in items if isinstance(i, Item))
        self._known = external_ids.find(connection, given)
        self._new: dict[ExternalId, str] = {}

    @property
    def owners(self) -> set[str]:
        """Our records that the call may name by external ids."""
        return {own_id for kind, own_id in self._known.values() if kind == self._kind}

    @property
    def new(self) -> int:
        """How many ids the call brings, or gives to another record."""
        return len(self._new)

    def own(self, external: ExternalId | None) -> str:
        """Our id of the record that goes by an external id, "" for none."""
        kind, own_id = self._known.get(external, (self._kind, "")) if external else ("", "")
        if external is not None and kind != self._kind:
            raise ItemError(
                "external_conflict",
                f"外部编号（{external.system}、{external.object}、{external.id}）已用于一条"
                f"{KIND_NAMES[kind]}，不能再用于{KIND_NAMES[self._kind]}，请核对 object 和 id。",
                ("external",),
            )
        return own_id

    def name(self, external: ExternalId | None, own_id: str) -> None:
        """Let an external id name a record of ours."""
        if external is not None and self._known.get(external) != (self._kind, own_id):
            self._known[external] = (self._kind, own_id)
            self._new[external] = own_id

    def shared(self, own_id: str, but: ExternalId | None = None) -> bool:
        """Whether any external id, but this one, names a record of ours now."""
        if any(e != but for e, known in self._known.items() if known == (self._kind, own_id)):
            return True
        stored = external_ids.of(self._connection, self._kind, [own_id]).get(own_id, ())
        return any(e not in self._known for e in stored)

    def write(self) -> None:
        """Keep what is new."""
        if self._new:
            external_ids.put(self._connection, self._kind, self._new)
