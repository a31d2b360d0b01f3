# zyz-match: `make run` and `make test` need python3 (>= 3.11) with venv, and make. Nothing else.
# make cannot take a path with a blank apart: inside the folder every path is relative
ROOT := $(if $(wildcard src/zyz_match/__init__.py),./,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
COMPILE := uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 --no-header -q
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help run serve test test-postgresql test-all lint bench bench-quick lock dist clean

help: ## 显示本帮助
	@cd "$(ROOT)" && sed -nE 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/p' Makefile | expand -t 20

run: $(ROOT).venv/run.done ## 建好环境，对随附专业镇和样例企业出清单，写到 out/
	@cd "$(ROOT)" && $(BIN)/python -m zyz_match run --out out

serve: $(ROOT).venv/run.done ## 在本机启动接口，文档在 http://127.0.0.1:8000/docs
	@cd "$(ROOT)" && $(BIN)/python -m zyz_match serve

test: $(ROOT).venv/dev.done ## 跑默认测试（三分钟左右）
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n 2 -m "not slow"

test-postgresql: $(ROOT).venv/dev.done ## 接口、命令行和各办事台的默认测试，数据目录改用 PostgreSQL（三分钟左右）
	@cd "$(ROOT)" && ZYZ_TEST_HOMES=postgresql $(BIN)/python -m pytest -n 2 -m "not slow" tests/api tests/cli tests/test_*.py

test-all: $(ROOT).venv/dev.done ## 跑全部测试，含杀进程、真服务和长计算的，并打印分支覆盖率（一刻钟）
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n 2 --cov --cov-branch --cov-report=term --cov-fail-under=90

lint: $(ROOT).venv/dev.done ## ruff 与 mypy --strict
	@cd "$(ROOT)" && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(ROOT).venv/bench.done ## 全部速度测试（合成语料，与同类软件同场，约一小时），结果写入 docs/benchmarks.md
	@cd "$(ROOT)" && for some in "ranking.py --firms 100000" "ranking.py --firms 1000000" building.py api.py load.py batch.py training.py; do $(BIN)/python tests/benchmarks/bench_$$some --write || exit 1; done

bench-quick: $(ROOT).venv/dev.done ## 速度守卫：只比次数和字节数，不比时间（两分钟内）
	@cd "$(ROOT)" && $(BIN)/python tests/benchmarks/quick.py

lock: ## 重新锁定依赖（需要 uv）；三份锁里同一个包是同一版本
	@cd "$(ROOT)" && $(COMPILE) --group dev --group bench -o requirements/bench.lock && $(COMPILE) --group dev -c requirements/bench.lock -o requirements/dev.lock && $(COMPILE) -c requirements/dev.lock -o requirements/run.lock

dist: $(ROOT).venv/dev.done ## 打包 wheel 到 dist/
	@cd "$(ROOT)" && $(BIN)/python -m build --wheel --no-isolation --outdir dist

clean: ## 删除环境与产物（不动数据目录 .zyz）
	@cd "$(ROOT)" && rm -rf .venv out dist

$(ROOT).venv/bin/python:
	@cd "$(ROOT)" && $(PYTHON) -m venv .venv

$(ROOT).venv/run.done: $(ROOT)requirements/run.lock $(ROOT)pyproject.toml | $(ROOT).venv/bin/python
	@echo "安装运行环境（首次约半分钟）……"
	@cd "$(ROOT)" && $(INSTALL) -r requirements/run.lock
	@cd "$(ROOT)" && $(BIN)/python tools/link_source.py && touch .venv/run.done

$(ROOT).venv/dev.done: $(ROOT)requirements/dev.lock $(ROOT)pyproject.toml | $(ROOT).venv/bin/python
	@echo "安装开发环境……"
	@cd "$(ROOT)" && $(INSTALL) -r requirements/dev.lock
	@cd "$(ROOT)" && $(BIN)/python tools/link_source.py && touch .venv/dev.done .venv/run.done

$(ROOT).venv/bench.done: $(ROOT)requirements/bench.lock $(ROOT)pyproject.toml | $(ROOT).venv/bin/python
	@echo "安装速度测试环境……"
	@cd "$(ROOT)" && $(INSTALL) -r requirements/bench.lock
	@cd "$(ROOT)" && $(BIN)/python tools/link_source.py && touch .venv/bench.done .venv/dev.done .venv/run.done
