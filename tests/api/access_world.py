"""A synthetic (合成) world with identity on: a key for every role, and an account or two."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from limits import parse
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.testclient import TestClient

from api import limits
from api.main import create_app
from tests.api.api_world import BASE, check_shape, firm_rows, make_world
from zyz_match import credentials
from zyz_match.access import Scope
from zyz_match.acting import Role
from zyz_match.service import Service
from zyz_match.settings import Settings
from zyz_match.storage.store import Store

OWN, OTHER = "syn-silk", "syn-casting"  # the town of the town team and the CRM, and another one
LIMITED = (Role.TOWN, Role.CRM)
PASSWORD = "合成密码-abcdef-42"


@contextmanager
def easy_sign_in() -> Iterator[None]:
    """Within this, argon2id takes a millisecond and nobody counts how often one address tries.

    How strong it really is, and where the limit lies, other tests say.
    """
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "_hasher", lambda: hasher)
        patch.setattr(limits, "SIGN_INS", parse("100000/minute"))
        yield


@dataclass
class AccessWorld:
    """The settings of a world with identity, and what opens it."""

    settings: Settings
    keys: dict[Role, str] = field(default_factory=dict)

    @contextmanager
    def service(self) -> Iterator[Service]:
        """A service of its own, as another process has it."""
        with Service(self.settings, Store.open(self.settings.database_url)) as service:
            yield service

    def client(self, base: str = BASE) -> TestClient:
        """A client of a fresh application, still nobody."""
        app = create_app(self.settings)
        client = TestClient(app, base_url=base, raise_server_exceptions=False)
        client.event_hooks = {"response": [check_shape]}
        return client

    def bearer(self, role: Role) -> dict[str, str]:
        """The header of a role's key."""
        return {"Authorization": f"Bearer {self.keys[role]}"}


def guarded_world(home: Path, rows: int = 24) -> AccessWorld:
    """A world with a key of every scope for each role; two roles are limited to one town."""
    world = AccessWorld(replace(make_world(home, firm_rows(rows)), rate="off"))
    with world.service() as service:
        for role in Role:
            towns = [OWN] if role in LIMITED else None
            _, world.keys[role] = service.add_key(
                f"syn-{role}", role, scopes=list(Scope), towns=towns
            )
    return world


def own_account(service: Service, name: str, role: Role, towns: list[str] | None = None) -> None:
    """An account whose one-time password was changed to PASSWORD."""
    account, password = service.add_account(name, role, towns=towns)
    caller = service.by_session(service.sign_in(account.name, password))
    assert caller is not None
    service.change_password(caller, password, PASSWORD)


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> httpx2.Response:
    """Sign in; the client keeps the cookie."""
    answer: Any = client.post("/v1/session", json={"name": name, "password": password})
    return answer  # type: ignore[no-any-return]
