"""What the firms alone decide is computed once, and few lists are computed at a time."""

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.desk_world import DeskService, keep_model, open_desk
from tests.worlds import TOWN, firm, table
from zyz_match import service as hall
from zyz_match.domain import Filters, Product, Shortlist, Stage
from zyz_match.index_desk import LANES
from zyz_match.matching import ranking
from zyz_match.storage.leads import Care

FILTERS = Filters(provinces=("河北省",))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[DeskService]:
    with open_desk(tmp_path) as service:
        service.index()
        yield service


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were under way as each list began."""
    now, begun, lock, rank = 0, list[int](), threading.Lock(), ranking.rank

    def counted(*args: Any, **kwargs: Any) -> Shortlist:
        nonlocal now
        with lock:
            now += 1
            begun.append(now)
        time.sleep(0.05)
        found = rank(*args, **kwargs)
        with lock:
            now -= 1
        return found

    monkeypatch.setattr(ranking, "rank", counted)
    return begun


def test_progress_with_a_firm_changes_who_takes_care_and_nothing_that_was_computed(
    service: DeskService, computed: list[int]
) -> None:
    before = service.rank(TOWN.id, k=3)
    head = before.matches[0].firm
    service.record_outcome(TOWN.id, head.firm_id, Stage.CONTACTED, owner="合成甲")
    after = service.rank(TOWN.id, k=3)
    assert len(computed) == 1
    assert after.matches[0].care_owner == "合成甲"
    assert after.matches[0].score == before.matches[0].score
    assert after.id != before.id


def test_what_a_list_is_made_from_is_asked_for_each_time(
    service: DeskService, computed: list[int]
) -> None:
    first = service.rank(TOWN.id, k=3)
    names = [m.firm.firm_id for m in first.matches]
    assert [m.firm.firm_id for m in service.rank(TOWN.id, k=2).matches] == names[:2]
    assert len(service.rank(TOWN.id, k=3, filters=FILTERS).matches) < 3
    service.rank(TOWN.id, k=3, after=(first.matches[0].score, names[0]))
    assert len(computed) == 4
    service.store.add_existing([(TOWN.id, names[0])])
    assert names[0] not in {m.firm.firm_id for m in service.rank(TOWN.id, k=3).matches}
    service.put_town(replace(TOWN, products=(Product("丝绸"),)))
    assert service.rank(TOWN.id, k=3).matches[0].reason != first.matches[0].reason
    service.promote(keep_model(service, place=900.0))
    assert service.rank(TOWN.id, k=3).model != first.model
    service.store.import_firms(
        table(firm("合成丝绸总公司", products="丝绸")), file_name="b.csv", file_hash="b"
    )
    assert "合成丝绸总公司" in {m.firm.name for m in service.rank(TOWN.id, k=3).matches}
    assert len(computed) == 8


def test_who_takes_care_is_read_once_until_a_lead_changes(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, care = list[str](), service.store.care

    def counted(town_id: str, firm_ids: Collection[str]) -> dict[str, Care]:
        asked.append(town_id)
        return care(town_id, firm_ids)

    monkeypatch.setattr(service.store, "care", counted)
    first, again = service.rank(TOWN.id, k=3), service.rank(TOWN.id, k=3)
    assert again.matches is first.matches
    assert len(asked) == 1
    head = first.matches[0].firm.firm_id
    entry = service.record_outcome(TOWN.id, head, Stage.CONTACTED, owner="合成甲").entry
    assert service.rank(TOWN.id, k=3).matches[0].care_owner == "合成甲"
    service.record_outcome(TOWN.id, head, Stage.CONTACTED, owner="合成乙", corrects=entry.id)
    assert service.rank(TOWN.id, k=3).matches[0].care_owner == "合成乙"
    assert len(asked) == 3


def test_few_lists_are_computed_at_once_whoever_asks_for_them_again(
    service: DeskService, computed: list[int]
) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda k: service.rank(TOWN.id, k=1 + k % 8), range(64)))
    assert 8 <= len(computed) <= 8 * LANES  # of 64
    assert max(computed) == LANES
    assert [len(f.matches) for f in found[:4]] == [1, 2, 3, 4]


def test_long_lists_are_not_kept(service: DeskService, computed: list[int]) -> None:
    service.rank(TOWN.id, k=1)
    for _ in range(2):
        service.rank(TOWN.id, k=hall.KEPT_K + 1)
    service.rank(TOWN.id, k=1)  # kept: long lists push out no short one
    assert len(computed) == 3
