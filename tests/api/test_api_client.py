"""A client that openapi-python-client makes from the description does the whole work."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api.main import create_app
from tests.examples import sync_world
from zyz_match.settings import load_settings

pytestmark = pytest.mark.slow

PACKAGE = "zyz_generated"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Address and key of a real server that asks for one, and a folder with a client for it."""
    folder = tmp_path_factory.mktemp("client")
    with sync_world.served(folder, "client") as (url, key, home):
        app = create_app(load_settings({"ZYZ_HOME": str(home)}))
        (folder / "openapi.json").write_text(json.dumps(app.openapi()), "utf-8")
        yield url, key, folder


@pytest.fixture(scope="module")
def generated(served: tuple[str, str, Path]) -> Iterator[ModuleType]:
    """The package that was generated; the generator has nothing to complain of."""
    folder = served[2]
    config = folder / "generator.json"
    config.write_text(json.dumps({"post_hooks": []}), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none",
         "--path", str(folder / "openapi.json"), "--output-path", str(folder / PACKAGE),
         "--config", str(config), "--fail-on-warning"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout, done.stdout
    sys.path.insert(0, str(folder))
    yield importlib.import_module(PACKAGE)
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def call(served: tuple[str, str, Path], generated: ModuleType) -> Iterator[Callable[..., Any]]:
    """Operations by name; an answer that the description does not know raises."""
    url, key, folder = served
    client = generated.AuthenticatedClient(
        base_url=url, token=key, raise_on_unexpected_status=True, timeout=60.0
    )
    places = {p.stem: p for p in (folder / PACKAGE / "api").rglob("*.py")}

    def do(operation: str, *path: Any, **arguments: Any) -> Any:
        place = places[operation].relative_to(folder).with_suffix("")
        module = importlib.import_module(".".join(place.parts))
        return module.sync(*path, client=client, **arguments)

    with client:
        yield do


def model(generated: ModuleType, name: str, **values: Any) -> Any:
    """A body: the class of this name, from what its JSON would be."""
    return getattr(importlib.import_module(f"{PACKAGE}.models"), name).from_dict(values)


def test_the_whole_work_is_done_with_the_generated_client(
    call: Callable[..., Any], generated: ModuleType
) -> None:
    def external(thing: str, number: int) -> dict[str, str]:
        return {"system": "client", "object": thing, "id": str(number)}

    # firms and a town in
    firms = [
        {"external": external("Account", n), "name": f"合成对接企业{n}有限公司", "city": "宁波市",
         "industry": "3391", "products": ["球墨铸铁件"], "capital_10k_cny": 100.0 * (n + 1)}
        for n in range(5)
    ]  # fmt: skip
    done = call("upsert_firms", body=model(generated, "FirmsUpsert", items=firms))
    assert [r.status.value for r in done.results] == ["created"] * 5
    again = call("upsert_firms", body=model(generated, "FirmsUpsert", items=firms))
    assert (again.unchanged, again.results[0].id) == (5, done.results[0].id)
    town = {"external": external("Project", 1), "id": "client-town", "name": "合成对接专业镇",
            "products": ["球墨铸铁件"], "industries": ["3391"]}  # fmt: skip
    assert call("upsert_towns", body=model(generated, "TownsUpsert", items=[town])).created == 1

    # ranked, handed on
    page = call("list_matches", "client-town", limit=10)
    assert [m.rank for m in page.items] == list(range(1, 11))
    assert {f["name"] for f in firms} & {m.firm.name for m in page.items}
    best = page.items[0].firm.firm_id
    assert call("read_firm", best).firm_id == best
    assert call("publish_list", page.shortlist_id).id == page.shortlist_id
    assert call("read_list", page.shortlist_id).items[0].firm_id == best

    # what became of it
    lead = {"external": external("Opportunity", 9), "town_id": "client-town", "firm_id": best,
            "stage": "contacted", "list_id": page.shortlist_id}  # fmt: skip
    outcome = call("upsert_leads", body=model(generated, "LeadsUpsert", items=[lead]))
    assert outcome.created == 1
    lost = lead | {"stage": "lost", "reason": "land"}
    corrected = call("upsert_leads", body=model(generated, "LeadsUpsert", items=[lost]))
    assert corrected.updated == 1

    # learnt from
    job = call("retrain", dry_run=True)
    deadline = time.monotonic() + 120
    while (job := call("read_job", job.id)).finished_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (job.state.value, job.result.version) == ("done", None)

    # told
    told, since = [], None
    while True:
        arguments: dict[str, Any] = {} if since is None else {"since": since}
        news = call("list_changes", limit=100, **arguments)
        told += news.items
        since = news.next_cursor
        if not news.more:
            break
    kinds = [change.type_ for change in told]
    assert kinds.count("list.published") == 1
    leads = [c.data for c in told if c.type_ == "lead.changed"]
    assert [d.stage.value for d in leads] == ["contacted", "lost"]
    assert call("list_changes", since=since).items == []


def test_a_refusal_comes_back_as_the_problem_that_is_described(
    call: Callable[..., Any], generated: ModuleType
) -> None:
    missing = call("read_town", "nowhere")
    assert (type(missing).__name__, missing.status, missing.code) == ("Problem", 404, "not_found")
    rejected = call("upsert_firms", body=model(generated, "FirmsUpsert", items=[{"name": "无"}]))
    assert rejected.rejected + rejected.created == 1
