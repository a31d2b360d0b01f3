"""The application: `create_app(settings)` builds everything it needs when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

import zyz_match
from api import docs_page, openapi, problems
from api.compress import Compress
from api.deps import warm_up
from api.lifecycle import Lifecycle, Seen
from api.limits import AtOnce, PerCaller
from api.metrics import Metrics, Observe
from api.middleware import Guard, is_loopback
from api.ready import Ready, SendReady
from api.routes import (
    accounts,
    audit,
    changes,
    contacts,
    firms,
    health,
    hooks,
    imports,
    jobs,
    keys,
    leads,
    lists,
    matches,
    models,
    ops,
    session,
    towns,
    upserts,
    webhooks,
)
from api.security import Identify
from zyz_match.crm_maps import read_systems
from zyz_match.delivering import Deliverer
from zyz_match.errors import InputError
from zyz_match.service import Service
from zyz_match.settings import Settings

DESCRIPTION = """为专业镇排出目标投资企业，并说明理由。

- 出错时一律返回 `application/problem+json`：`detail` 写明原因和办法，`code` 供程序判断。
- 分页用 `next_cursor`；企业数据或档案更新后旧游标失效，请从第一页重来。
- 启用身份认证后，带请求头 `Authorization: Bearer zyz_…`（密钥），或先 `POST /v1/session` 登录；
  没有登录 401，角色不许 403，不在自己专业镇范围内的一律 404。
- 金额单位写在字段名里（`_10k_cny` 为万元），时间为 UTC，缺失为 `null`。
- 联系人只由 `/v1/firms/{firm_id}/contacts` 返回，按角色打码，每次查看都记入审计。
"""


def check_bind(host: str, *, identity: bool = False) -> None:
    """Raise InputError for an address beyond this machine while nobody must say who they are."""
    if not identity and not is_loopback(host):
        raise InputError(
            f"还没有启用身份认证，只能监听本机，不能监听“{host}”。"
            "请先运行 zyz-match user add --first 建立首批账号，或把 ZYZ_HOST 设为 127.0.0.1。"
        )


def _routes() -> APIRouter:
    v1 = APIRouter(prefix="/v1")
    for module in (
        health, towns, matches, leads, lists, firms, models, jobs,
        session, accounts, keys, webhooks, changes, hooks, upserts, imports, audit, contacts,
    ):  # fmt: skip
        v1.include_router(module.router)
    v1.include_router(hooks.receiving)
    v1.include_router(imports.uploading)
    return v1


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings; the store opens when it starts, closes when it ends.

    Raises InputError when the file of the systems that may call us is wrong.
    """
    read_systems(settings.hooks)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = await run_in_threadpool(Service.open, settings)
        with service:
            await run_in_threadpool(warm_up, service)
            app.state.service, app.state.ready = service, Ready()
            app.state.seen = Seen(service)
            app.state.lifecycle = Lifecycle(service, app.state.seen, settings.drain)
            with Deliverer(service) as app.state.deliverer:
                async with app.state.lifecycle.running():
                    yield

    metrics = Metrics()
    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        static_url=docs_page.STATIC,
        title="专业镇招商匹配接口",
        version=zyz_match.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        middleware=[
            Middleware(Observe, metrics=metrics),
            Middleware(Guard),
            Middleware(AtOnce),
            Middleware(Compress),
            Middleware(Identify),
            Middleware(PerCaller, rate=settings.rate),
            Middleware(SendReady),
        ],
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.metrics = metrics
    app.include_router(ops.router)
    app.include_router(_routes())
    problems.install(app)
    openapi.install(app)
    docs_page.install(app)
    return app
