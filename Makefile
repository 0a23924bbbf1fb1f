# Everything a developer or a stranger starts with. `make help` lists it.
# Needs: make and Python 3.11 or newer. Nothing is installed outside of this directory, but for
# `make browser`, `make broker`, `make database` and `make windows`, which install a program of the system when they find none.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced
SPARK := $(VENV)/.spark
CORES := $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ "$$n" -gt 4 ] && echo 4 || echo "$$n")
PYTEST := $(BIN)/python -m pytest

# Compiled modules are kept, whatever the environment says: the tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup browser broker database windows jars cluster cluster-test run lint types test check soak bench docs wheel sender clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(STAMP) ## install what the lock names into .venv (with uv, fetched into .cache when missing)
	@:

# What else was installed (PySpark, for the tests of the cluster) stays: it would only have to be fetched again.
$(STAMP): uv.lock pyproject.toml
	@sh scripts/uv sync --frozen --quiet --inexact
	@$(BIN)/citywatch --version
	@touch $@

browser: ## find Chromium for the browser tests; installs it on Debian when you are root
	@sh scripts/browser

broker: ## find mosquitto for the tests of MQTT; installs it on Debian when you are root
	@sh scripts/broker

database: ## find PostgreSQL for the tests of the console on it; installs it on Debian when you are root
	@sh scripts/postgresql

windows: ## find Wine and fetch Python for Windows, for the tests of the sender there; installs Wine on Debian when you are root
	@sh scripts/windows

jars:
	@$(PYTHON) deploy/servers/jars.py --background

cluster: setup ## Kafka, Cassandra and HDFS until Ctrl-C, from jars of Maven Central (needs Java 17 and Maven)
	@$(BIN)/python -m deploy.servers $(ARGS)

run: setup ## the demo city until Ctrl-C; ONCE=1 ends after the first alert
	@$(BIN)/citywatch up --demo $(if $(ONCE),--until-alert) $(ARGS)

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo

types: setup
	@$(BIN)/mypy

check: broker lint types ## lint, types, unit tests and a quick look at conformance: for while you work, under 3 minutes
	@CITYWATCH_CONFORMANCE=quick $(LANE) -m "not cluster and not soak" tests/unit tests/conformance

$(SPARK): $(STAMP)
	@sh scripts/uv sync --frozen --quiet --group spark
	@touch $@

LANE = $(PYTEST) -n $(CORES) --dist worksteal
# Tests of the cluster wait for servers, too: two more of them than there are cores.
CLUSTER = $(PYTEST) -n $$(($(CORES) + 2)) -p tests.cluster.lane --no-loadscope-reorder
NONE = [ $$? = "$(if $(ARGS),5)" ]

# The servers of the cluster would take the cores from tests that wait for an answer within a second: one after the other.
# With ARGS that choose tests there may be none in one of them (pytest ends with 5).
test: jars setup $(SPARK) browser broker database lint types ## everything, on this machine and on real servers; prints the ten slowest tests
	@failed=0; \
	$(LANE) -m "not cluster and not soak" $(ARGS) || $(NONE) || failed=1; \
	$(CLUSTER) -m "cluster and not soak" $(ARGS) || $(NONE) || failed=1; \
	exit $$failed

cluster-test: jars setup $(SPARK) database ## of these, what needs Kafka, Spark, Cassandra, HDFS, PostgreSQL or Airflow (Java 17 and Maven)
	@$(CLUSTER) -m "cluster and not soak" $(ARGS)

soak: jars setup $(SPARK) browser broker database windows ## the tests that are too long for every run
	@$(PYTEST) -m soak --timeout 7200 $(ARGS)

bench: setup ## measure what the project promises; writes bench/results.md
	@$(BIN)/python -m bench $(ARGS)

docs: setup ## write the reference pages anew from the code
	@$(BIN)/python -m scripts.reference

wheel: setup ## build the wheel and the source archive into dist/
	@sh scripts/uv build --quiet --out-dir dist
	@ls dist

sender: setup ## build dist/citywatch-send.pyz, the sender for old PCs in one file
	@$(BIN)/python -m scripts.sender

clean: ## remove what was built, and the caches; keeps .venv
	@rm -rf dist build .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
