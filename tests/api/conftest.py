"""One synthetic world and one application for all tests of a process; fitting costs time."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from tests.api.api_world import Get, client_of, firm_rows, make_world
from zyz_match.settings import Settings


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_world(tmp_path_factory.mktemp("world"), firm_rows())


@pytest.fixture(scope="session")
def session_client(world: Settings) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture
def client(session_client: TestClient) -> TestClient:
    return session_client


@pytest.fixture
def get(client: TestClient) -> Get:
    """GET that must succeed and fit its schema."""

    def fetch(path: str, model: type[BaseModel], **params: Any) -> Any:
        response = client.get(path, params=params)
        assert response.status_code == 200, response.text
        model.model_validate_json(response.content)
        return response.json()

    return fetch
