"""The application: `create_app(settings)` builds everything it needs when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

import zyz_match
from api import docs_page, openapi, problems
from api.deps import warm_up
from api.middleware import Guard, is_loopback
from api.ready import Ready, SendReady
from api.routes import firms, health, jobs, leads, lists, matches, models, towns
from zyz_match.errors import InputError
from zyz_match.service import Service
from zyz_match.settings import Settings

DESCRIPTION = """为专业镇排出目标投资企业，并说明理由。

- 出错时一律返回 `application/problem+json`：`detail` 写明原因和办法，`code` 供程序判断。
- 分页用 `next_cursor`；企业数据或档案更新后旧游标失效，请从第一页重来。
- 金额单位写在字段名里（`_10k_cny` 为万元），时间为 UTC，缺失为 `null`。
- 任何接口都不返回联系人、电话和邮箱。
"""


def check_bind(host: str) -> None:
    """Raise InputError unless the address to listen on is this machine's loopback."""
    if not is_loopback(host):
        raise InputError(
            f"本版本没有身份认证，只能监听本机，不能监听“{host}”。请把 ZYZ_HOST 设为 127.0.0.1。"
        )


def _routes() -> APIRouter:
    v1 = APIRouter(prefix="/v1")
    for module in (health, towns, matches, leads, lists, firms, models, jobs):
        v1.include_router(module.router)
    return v1


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings; the store opens when it starts, closes when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = await run_in_threadpool(Service.open, settings)
        with service:
            await run_in_threadpool(warm_up, service)
            await run_in_threadpool(service.resume)
            app.state.service, app.state.ready = service, Ready()
            yield

    app = FastAPIOffline(
        docs_url=None,
        redoc_url=None,
        static_url=docs_page.STATIC,
        title="专业镇招商匹配接口",
        version=zyz_match.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        middleware=[Middleware(Guard), Middleware(SendReady)],
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(_routes())
    problems.install(app)
    openapi.install(app)
    docs_page.install(app)
    return app
