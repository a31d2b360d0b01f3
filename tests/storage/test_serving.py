"""Which version serves, on both databases: one row, its log, and what is in use."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from zyz_match.domain import Filters, Shortlist, Town
from zyz_match.errors import ArtifactError, NotFoundError
from zyz_match.storage.serving import Serving
from zyz_match.storage.store import Store


def promote(store: Store, version: str, note: str = "") -> Serving:
    return store.serving.promote(version, by="我", note=note, check=lambda: None)


def test_the_prior_serves_while_nothing_was_promoted(store: Store) -> None:
    assert store.serving.current() == Serving("", "", None, "")
    with pytest.raises(NotFoundError, match="没有可退回"):
        store.serving.rollback(by="我")
    assert store.serving.history() == []


def test_a_promoted_version_serves_and_the_one_before_is_remembered(store: Store) -> None:
    promote(store, "v1")
    now = promote(store, "v2", "更好")
    assert (now.version, now.previous, now.by) == ("v2", "v1", "我")
    assert now.since is not None
    assert store.serving.current() == now
    assert promote(store, "v2") == now


def test_a_rollback_moves_one_row_at_once_and_can_be_taken_back(store: Store) -> None:
    promote(store, "v1")
    began = time.monotonic()
    assert store.serving.rollback(by="我").version == ""
    assert time.monotonic() - began < 1
    assert store.serving.rollback(by="我").version == "v1"


def test_every_change_is_in_the_log(store: Store) -> None:
    promote(store, "v1", "更好")
    store.serving.rollback(by="你")
    log = store.serving.history()
    assert [(e.action, e.version, e.previous, e.by, e.note) for e in log] == [
        ("rollback", "", "v1", "你", ""), ("promote", "v1", "", "我", "更好"),
    ]  # fmt: skip
    assert len(store.serving.history(1)) == 1


def test_a_version_that_is_gone_when_it_comes_to_it_is_not_promoted(store: Store) -> None:
    def gone() -> None:
        raise ArtifactError("不在了")

    with pytest.raises(ArtifactError):
        store.serving.promote("v1", by="", note="", check=gone)
    assert store.serving.current() == Serving()
    assert store.serving.history() == []


def test_promotions_at_once_leave_one_unbroken_chain(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: promote(store, f"v{i}"), range(12)))
    log = store.serving.history()
    assert [e.previous for e in log] == [*(e.version for e in log[1:]), ""]
    assert store.serving.current().version == log[0].version


def test_what_serves_served_last_or_was_listed_is_in_use(store: Store) -> None:
    for version in ("v1", "v2", "v3"):
        promote(store, version)
    store.put_town(town := Town("t", "合成镇"))
    store.keep_shortlist(Shortlist(town, (), 0, 0, Filters(), "listed", "1"))
    with store.serving.in_use() as used:
        assert used == {"v3", "v2", "listed"}
