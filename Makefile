# The two commands: make run, make test. Both install what they need into .venv, from pinned requirements.
# A machine has Python under one of these names.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r

.PHONY: run test contract token sdk clients lint mutants bench hot lock release-spec
.DEFAULT_GOAL := run

run: $(VENV)/run ## Serve the API for development, with its own issuer unless AUTH0_DOMAIN is set
	@$(BIN)/python -m api run

test: $(VENV)/test ## Run the tests
	$(BIN)/python -m pytest $(ARGS)

contract: $(VENV)/test ## Test the API against its contract, here or at URL
	@$(BIN)/python -m api contract $(if $(URL),--url "$(URL)") $(ARGS)

# DPOP is also the name of a setting, which knows no 1.
token: $(VENV)/run ## Print an access token of the development issuer (SCOPE="read:messages", or empty; DPOP=1)
	@$(if $(filter 1,$(DPOP)),env -u DPOP )$(BIN)/python -m api token \
		$(if $(filter 1,$(DPOP)),--dpop) $(if $(filter undefined,$(origin SCOPE)),,--scope "$$SCOPE")

# LANG is also the name of the locale's variable, so only the command line's counts, and the locale gets its own again.
sdk: $(VENV)/test ## Generate a client from the contract (LANG=python; without it, print the languages)
	@LANG=C.UTF-8 $(BIN)/python -m api sdk $(if $(filter command,$(origin LANG)),$(LANG),--list)

clients: $(VENV)/test ## Build and call the clients in every language, and write down in docs/clients what was run
	CLIENTS_TABLE=write $(BIN)/python -m pytest tests/test_clients.py

lint: $(VENV)/test ## Check formatting, style and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

mutants: $(VENV)/test ## Test the tests: change security/ in every way that some test should notice
	$(BIN)/python tests/mutants.py

bench: $(VENV)/test $(VENV)-bench/installed ## Time the API and its peers side by side (ARGS="--help")
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

hot: $(VENV)/test ## Compare what the hot functions cost with benchmarks/hot.json (ARGS=--record writes it anew)
	@$(BIN)/python -m benchmarks.hot $(ARGS)

release-spec: $(VENV)/test ## Record openapi.yaml as released: from then on the tests say what breaks it
	@$(BIN)/python -m tests.breaking

lock: $(VENV)/test ## Pin the newest releases that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		-c requirements.txt --extra redis --extra tracing pyproject.toml -o requirements-extras.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		-c requirements-extras.txt --all-extras --group dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		-c requirements.txt --group bench -o benchmarks/requirements.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	@echo ../../../../engine/src > $$(echo $(VENV)/lib/python*/site-packages)/resource_server.pth

# Each stamp says that its requirements are installed; a newer pin makes it stale. That is said on
# stderr, because a command substitution takes all that `token` prints.
$(VENV)/run: requirements.txt | $(VENV)/bin/python
	@echo "Installing what the API needs into $(VENV) …" >&2
	@$(PIP_INSTALL) requirements.txt
	@touch $@

$(VENV)/test: requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what the API and its tests need into $(VENV) …" >&2
	@$(PIP_INSTALL) requirements-dev.txt
	@touch $@ $(VENV)/run

# The peers have dependencies of their own.
$(VENV)-bench/installed: benchmarks/requirements.txt
	@echo "Installing the peers into $(VENV)-bench …" >&2
	@test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	@$(subst $(BIN),$(VENV)-bench/bin,$(PIP_INSTALL)) benchmarks/requirements.txt
	@touch $@
