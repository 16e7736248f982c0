# `make` lists the targets. Nothing has to be installed or set first: Python 3.11 or newer is enough.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

# The first of these that runs (a version manager may offer names that do not) and is new enough.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$name" && break; done)
PY := .venv/bin/python
ENGINES := $(PY) -m config.platform.embedded
APPS := cart checkout config inventory notifications orders pricing tests manage.py
WORKERS ?= 2

ifdef HOST
export HOST
endif
ifdef PORT
export PORT
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------
.PHONY: setup setup-tests python
setup: .venv/.runtime ## create .venv and install what the shop needs

setup-tests: .venv/.tests ## the same with what tests and checks need

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found. On Debian: sudo apt-get install python3 python3-venv" >&2; exit 1; }

.venv/.runtime: requirements.txt | python
	@"$(PYTHON)" config/platform/embedded/install.py requirements.txt
	@touch $@

# The lock of the tests holds the runtime's too.
.venv/.tests: tests/requirements.txt requirements.txt | python
	@"$(PYTHON)" config/platform/embedded/install.py tests/requirements.txt
	@touch .venv/.runtime $@

# --- run --------------------------------------------------------------------------------------
.PHONY: up serve seed logs shell
up: .venv/.runtime ## run the shop: http://localhost:8000 (HOST, PORT, DATABASE_URL, REDIS_URL override)
	@exec $(ENGINES) up

serve: .venv/.runtime ## the same shop, served as in production (granian), for measurements
	@exec $(ENGINES) up --production-serving

seed: .venv/.runtime ## write the demo shop into the database again
	@$(ENGINES) with -- $(PY) manage.py seed_demo

logs: ## follow the logs of a running shop
	@tail -n 20 -F var/log/*.log

shell: .venv/.runtime ## Django's shell on the shop's database
	@$(ENGINES) with -- $(PY) manage.py shell

# --- tests ------------------------------------------------------------------------------------
.PHONY: test test-fast crash chaos coverage bench
test: .venv/.tests ## all tests, in parallel, on throw-away engines (ARGS="-k merge" narrows)
	@$(ENGINES) run -- $(PY) -m pytest -n $(WORKERS) $(ARGS)

test-fast: .venv/.tests ## the tests that take no seconds
	@$(ENGINES) run -- $(PY) -m pytest -n $(WORKERS) -m "not slow and not browser" $(ARGS)

crash: .venv/.tests ## kill the shop at every statement, commit and provider call (minutes; the tests take a sample)
	@CRASH_EVERY_POINT=1 $(ENGINES) run -- $(PY) -m pytest -s -k "test_crashes" tests/checkout $(ARGS)

chaos: .venv/.tests ## a minute of everybody at once while processes are killed (CHAOS_SECONDS, CHAOS_SEED)
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-60} CHAOS_SEED=$${CHAOS_SEED:-0} $(ENGINES) run -- $(PY) -m pytest -q tests/chaos $(ARGS)

coverage: .venv/.tests ## all tests with coverage, report in htmlcov/
	@$(ENGINES) run -- $(PY) -m pytest -n $(WORKERS) --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

bench: .venv/.tests ## measure the shop's hot paths in its production serving
	@$(ENGINES) run --durable -- $(PY) -m tests.bench $(ARGS)

# --- checks -----------------------------------------------------------------------------------
.PHONY: check lint format format-check types imports migrations migrations-back deploy-check schema
check: .venv/.tests ## everything that CI checks besides the tests
	@$(MAKE) --no-print-directory --keep-going --jobs=2 types lint format-check imports migrations deploy-check schema \
		&& echo "All checks passed."

lint: .venv/.tests ## ruff's rules
	@$(PY) -m ruff check $(APPS)

format: .venv/.tests ## rewrite the code in the house's format
	@$(PY) -m ruff format $(APPS)
	@$(PY) -m ruff check --fix-only --quiet $(APPS)

format-check: .venv/.tests
	@$(PY) -m ruff format --check $(APPS)

types: .venv/.tests ## mypy
	@$(PY) -m mypy

imports: .venv/.tests ## who may import whom
	@.venv/bin/lint-imports --no-logo

migrations: .venv/.tests ## models and migrations agree
	@DJANGO_SETTINGS_MODULE=config.settings.test $(ENGINES) run -- $(PY) manage.py makemigrations --check --dry-run

migrations-back: .venv/.tests ## all migrations to nothing and back on a scratch database (minutes, not part of check)
	@DJANGO_SETTINGS_MODULE=config.settings.test $(ENGINES) run -- $(PY) -m tests.platform.backwards

# Values that only have to look real: production settings refuse any that are missing or weak.
new_secret = $$($(PY) -c 'import secrets; print(secrets.token_urlsafe(48))')
deploy-check: .venv/.tests ## Django's deployment checks on production settings
	@SECRET_KEY=$(new_secret) JWT_SIGNING_KEY=$(new_secret) CART_RECOVERY_HMAC_SECRET=$(new_secret) \
	ENV_FILE=/dev/null DJANGO_SETTINGS_MODULE=config.settings.production ENVIRONMENT=production \
	ALLOWED_HOSTS=shop.example.com STOREFRONT_URL=https://shop.example.com \
	$(ENGINES) run -- $(PY) manage.py check --deploy --fail-level WARNING

schema: .venv/.tests ## the OpenAPI document generates without a warning
	@mkdir -p var && DJANGO_SETTINGS_MODULE=config.settings.test $(ENGINES) run -- \
		$(PY) manage.py spectacular --validate --fail-on-warn --file var/openapi.yaml

# --- upkeep -----------------------------------------------------------------------------------
.PHONY: lock clean clean-data
# Without --no-emit-index-url and --no-header the files would name the machine they were made on.
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-header --no-annotate --no-emit-index-url
lock: ## write requirements.txt and tests/requirements.txt anew (needs uv)
	@test -x .venv/bin/uv || $(PY) -m pip install --quiet uv
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) tests/requirements.in --output-file tests/requirements.txt

clean: ## remove caches and what tests left behind
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov var/test var/static
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-data: ## remove the shop's database and secrets; the next `make up` starts afresh
	@$(ENGINES) forget
