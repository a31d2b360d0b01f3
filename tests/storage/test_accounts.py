"""Accounts, sessions and keys on both databases: who is let in, and when no longer."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from zyz_match import credentials
from zyz_match.access import Scope, checked_name, checked_towns
from zyz_match.acting import Role
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import rows, sessions
from zyz_match.storage.accounts import MAX_FAILED, Account, NewAccount
from zyz_match.storage.keys import NewKey
from zyz_match.storage.store import Store
from zyz_match.storage.tables import account, api_key, audit, session

GUARD = NewAccount("guard", Role.SECURITY, password="hash")
TEAM = NewAccount("合成专班", Role.TOWN, "说明", ("b", "镇a"), "hash")


def add(store: Store, new: NewAccount) -> Account:
    return store.accounts.add([new])[0]


def actions(store: Store) -> list[str]:
    with store._database.read() as connection:
        return list(connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars())


def begin(store: Store, one: Account) -> str:
    token = credentials.new_token()
    assert store.sessions.start(one.id, credentials.digest(token), "password")
    return credentials.digest(token)


def new_key(name: str = "odoo", **values: object) -> tuple[NewKey, str]:
    digest = credentials.digest(credentials.new_key())
    new = NewKey(name, Role.CRM, (Scope.READ, Scope.WRITE), ("镇a",), digest, None)
    return replace(new, **values), digest  # type: ignore[arg-type]


# accounts ------------------------------------------------------------------------------------


def test_there_is_nobody_until_the_first_account_or_key(store: Store) -> None:
    assert not store.accounts.any()
    store.keys.add(new_key()[0])
    assert store.accounts.any()


def test_an_account_is_kept_as_it_was_given_but_for_its_password(store: Store) -> None:
    added = add(store, TEAM)
    assert (added.name, added.label, added.role) == (TEAM.name, TEAM.label, TEAM.role)
    assert (added.towns, added.has_password, added.must_change) == (("b", "镇a"), True, True)
    assert store.accounts.get(added.id) == store.accounts.get(added.name) == added
    assert store.accounts.all() == [added]
    assert store.accounts.with_password(TEAM.name) == (added, "hash")
    assert actions(store) == ["account.add"]


def test_a_name_is_taken_once_and_of_two_accounts_none_is_added_then(store: Store) -> None:
    add(store, TEAM)
    with pytest.raises(InputError, match="已有账号"):
        store.accounts.add([GUARD, TEAM])
    assert [a.name for a in store.accounts.all()] == [TEAM.name]
    with pytest.raises(NotFoundError):
        store.accounts.get("guard")


def test_the_first_accounts_are_made_once_however_many_try(store: Store) -> None:
    def first(_: int) -> bool:
        try:
            store.accounts.add([GUARD, TEAM], first=True)
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(first, range(6))) == 1
    assert len(store.accounts.all()) == 2


def test_a_change_is_seen_by_a_session_that_goes_on(store: Store) -> None:
    one = add(store, TEAM)
    token = begin(store, one)
    store.accounts.change(one.id, towns=("c",), label="新说明")
    caller = store.sessions.find(token)
    assert caller is not None
    assert (caller.towns, caller.label, caller.must_change) == (frozenset({"c"}), "新说明", True)
    before = actions(store)
    assert store.accounts.change(one.id, label="新说明").label == "新说明"
    assert actions(store) == before


def test_towns_that_do_not_go_with_the_role_of_the_moment_are_refused(store: Store) -> None:
    one = add(store, TEAM)
    with pytest.raises(InputError, match="不能限定专业镇"):
        store.accounts.change(one.id, role=Role.ADMIN)
    assert store.accounts.change(one.id, role=Role.ADMIN, towns=None).towns is None
    assert store.accounts.change(one.id, label="只改说明").role is Role.ADMIN
    with pytest.raises(InputError, match="至少一个"):
        store.accounts.change(one.id, role=Role.TOWN)


def test_the_last_one_who_looks_after_the_accounts_stays(store: Store) -> None:
    one = add(store, GUARD)
    with pytest.raises(InputError, match="最后一个"):
        store.accounts.disable(one.id)
    with pytest.raises(InputError, match="最后一个"):
        store.accounts.change(one.id, role=Role.ADMIN)
    add(store, replace(GUARD, name="second"))
    assert store.accounts.disable(one.id).disabled_at is not None
    assert store.accounts.disable(one.id).disabled_at is not None
    assert store.accounts.enable(one.id).disabled_at is None


def test_too_many_wrong_passwords_in_a_row_lock_an_account_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = add(store, TEAM)
    for _ in range(MAX_FAILED - 1):
        store.accounts.failed(one.id)
    begin(store, one)  # a good one between begins the count anew
    for _ in range(MAX_FAILED):
        assert store.accounts.get(one.id).locked_until is None
        store.accounts.failed(one.id)
    until = store.accounts.get(one.id).locked_until
    assert until is not None
    assert until > datetime.now(UTC) + timedelta(minutes=14)
    assert not store.sessions.start(one.id, "0" * 64, "password")
    said = actions(store)
    store.accounts.failed(one.id)  # says nothing more, nor does it prolong
    assert store.accounts.get(one.id).locked_until == until
    assert actions(store) == said
    assert said.count("account.lock") == 1
    monkeypatch.setattr(rows, "utc_now", lambda: "2999-01-01T00:00:00.000+00:00")
    assert store.sessions.start(one.id, "0" * 64, "password")


def test_many_wrong_passwords_at_once_count_as_many(store: Store) -> None:
    one = add(store, TEAM)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.accounts.failed(one.id), range(12)))
    assert actions(store).count("account.lock") == 1
    assert actions(store).count("session.refused") == MAX_FAILED - 1


def test_another_password_unlocks_and_ends_every_session(store: Store) -> None:
    one = add(store, TEAM)
    tokens = [begin(store, one), begin(store, one)]
    for _ in range(MAX_FAILED):
        store.accounts.failed(one.id)
    assert not store.accounts.change_password(one.id, "own")
    after = store.accounts.reset_password(one.id, "new hash")
    assert (after.locked_until, after.must_change) == (None, True)
    assert [store.sessions.find(t) for t in tokens] == [None, None]
    token = begin(store, one)
    assert store.accounts.change_password(one.id, "own")
    assert store.accounts.get(one.id).must_change is False
    assert store.sessions.find(token) is None
    assert actions(store)[-3:] == ["account.reset", "session.start", "account.password"]


def test_an_oidc_subject_takes_the_account_prepared_for_it_and_no_other(store: Store) -> None:
    add(store, TEAM)
    prepared = add(store, NewAccount("zhang", Role.ANALYST))
    assert not prepared.has_password
    assert store.accounts.by_subject("https://id s1", TEAM.name) is None  # it has a password
    assert store.accounts.by_subject("https://id s1", "nobody") is None
    taken = store.accounts.by_subject("https://id s1", "zhang")
    assert taken is not None
    assert (taken.id, taken.has_subject) == (prepared.id, True)
    assert store.accounts.by_subject("https://id s1", "renamed") == taken
    assert store.accounts.by_subject("https://id s2", "zhang") is None


# sessions ------------------------------------------------------------------------------------


def test_of_a_session_the_hash_of_its_token_alone_is_kept(store: Store) -> None:
    one, token = add(store, TEAM), credentials.new_token()
    store.sessions.start(one.id, credentials.digest(token), "password")
    with store._database.read() as connection:
        row = connection.execute(sa.select(session)).mappings().one()
    assert token not in str(dict(row))
    caller = store.sessions.find(credentials.digest(token))
    assert caller is not None
    assert (caller.name, caller.role, caller.kind, caller.id) == (
        TEAM.name, Role.TOWN, "session", one.id,
    )  # fmt: skip
    assert caller.actor("r1").name == TEAM.name


def test_a_session_ends_by_time_by_hand_and_with_its_account(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = add(store, TEAM)
    by_hand, disabled = begin(store, one), begin(store, one)
    assert store.sessions.end(by_hand)
    assert not store.sessions.end(by_hand)
    assert store.sessions.find(by_hand) is None
    store.accounts.disable(one.id)
    assert store.sessions.find(disabled) is None
    assert not store.sessions.start(one.id, "1" * 64, "password")
    store.accounts.enable(one.id)
    monkeypatch.setattr(sessions, "LASTS", timedelta(0))
    assert store.sessions.find(begin(store, one)) is None
    begin(store, one)  # what ran out goes
    with store._database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(session)).scalar() == 1


# keys ----------------------------------------------------------------------------------------


def test_a_key_is_found_by_its_hash_until_it_is_revoked(store: Store) -> None:
    new, digest = new_key()
    added = store.keys.add(new)
    found = store.keys.find(digest)
    assert found is not None
    caller, used = found
    assert (caller.name, caller.role, caller.kind, used) == ("odoo", Role.CRM, "key", "")
    assert caller.towns == frozenset({"镇a"})
    assert caller.scopes == {Scope.READ, Scope.WRITE}
    assert caller.actor("").name == "key:odoo"
    assert store.keys.find("0" * 64) is None
    revoked = store.keys.revoke(added.id)
    assert revoked.revoked_at is not None
    assert store.keys.find(digest) is None
    assert store.keys.revoke(added.id) == revoked
    assert actions(store) == ["key.add", "key.revoke"]
    assert store.keys.all() == [store.keys.get(added.id)]


def test_a_key_runs_out_at_its_moment(store: Store) -> None:
    now = datetime.now(UTC)
    past, future = now - timedelta(seconds=1), now + timedelta(days=1)
    old, digest = new_key(expires_at=past)
    store.keys.add(old)
    assert store.keys.find(digest) is None
    newer, digest = new_key(expires_at=future)  # the name is free again
    assert store.keys.add(newer).expires_at is not None
    assert store.keys.find(digest) is not None


def test_a_name_belongs_to_one_key_in_force(store: Store) -> None:
    added = store.keys.add(new_key()[0])
    with pytest.raises(InputError, match="已有名为"):
        store.keys.add(new_key()[0])
    store.keys.revoke(added.id)
    store.keys.add(new_key()[0])
    with pytest.raises(NotFoundError):
        store.keys.revoke("K0")


def test_the_last_use_of_a_key_is_kept_to_the_minute_and_never_goes_back(store: Store) -> None:
    new, digest = new_key()
    added = store.keys.add(new)
    for minute in ("2026-11-24T02:01+00:00", "2026-11-24T02:00+00:00"):
        store.keys.used(added.id, minute)
    found = store.keys.find(digest)
    assert found is not None
    assert found[1] == "2026-11-24T02:01+00:00"
    assert store.keys.get(added.id).used_at == datetime(2026, 11, 24, 2, 1, tzinfo=UTC)


def test_nothing_that_opens_a_door_is_in_the_database(store: Store) -> None:
    key = credentials.new_key()
    store.keys.add(replace(new_key()[0], key_hash=credentials.digest(key)))
    with store._database.read() as connection:
        for table in (account, session, api_key, audit):
            found = connection.execute(sa.select(table)).mappings()
            assert key.removeprefix("zyz_")[:20] not in str([dict(r) for r in found])


# credentials ---------------------------------------------------------------------------------


def test_a_password_is_recognised_whatever_the_form_of_its_letters() -> None:
    kept = credentials.hash_password("Ａ合成密码-correct-1")
    assert kept.startswith("$argon2id$")
    assert credentials.is_password("A合成密码-correct-1", kept)
    assert not credentials.is_password("a合成密码-correct-1", kept)
    assert not credentials.is_password("anything", "")


@pytest.mark.parametrize(
    "password", ["short-pass1", "aaaaaaaaaaaaaaaa", "my-ZhangSan-pass", "x" * 201, "abababababab"]
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InputError):
        credentials.check_password(password, "zhangsan")


def test_a_slip_in_a_key_is_seen_without_a_look_into_the_store() -> None:
    key = credentials.new_key()
    assert credentials.is_key(key)
    for wrong in (key[:-1], key + "a", key[:10] + ("a" if key[10] != "a" else "b") + key[11:],
                  key.upper(), key.removeprefix("zyz_"), "", "zyz_' OR 1=1 --"):  # fmt: skip
        assert not credentials.is_key(wrong)
    assert credentials.new_key() != key
    assert re.fullmatch(r"(\w{4}-){3}\w{4}", credentials.one_time_password())


def test_names_have_one_spelling_and_towns_go_with_roles() -> None:
    assert checked_name(" ZhangＳan ") == "zhangsan"
    for bad in ("", "a b", "a:b", "\u202eabc", "a\nb", "x" * 65, ".a", "a'--"):
        with pytest.raises(InputError):
            checked_name(bad)
    assert checked_towns(Role.ANALYST, None) is None
    assert checked_towns(Role.CRM, ["b", "a", "b"]) == ("a", "b")
    for role, towns in ((Role.TOWN, None), (Role.TOWN, []), (Role.ADMIN, ["a"])):
        with pytest.raises(InputError):
            checked_towns(role, towns)
