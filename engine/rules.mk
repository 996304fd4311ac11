# What `make` can do in the house of an API. A house's Makefile includes this; ENGINE is the folder that it is in.
# `make run` and `make test` install what they need into .venv, from pinned requirements.

# A machine has Python under one of these names.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
# The engine's own tests are in its folder, and not in its wheel.
TESTS := $(wildcard $(ENGINE)/tests)
IN_TESTS := cd $(ENGINE) && $(CURDIR)/$(BIN)/python -m
SOURCES := $(or $(UNPACKED),engine/src)

# What has to be installed, and stamps that say that it is: a stamp has the checksum of its requirements in its name.
SUM = $(shell cat $(1) | cksum | cut -d " " -f 1)
RUN := $(ENGINE)/requirements-run.txt requirements.txt
DEV := $(ENGINE)/requirements-dev.txt requirements.txt $(wildcard requirements-dev.txt)
RUN_STAMP := $(VENV)/run-$(call SUM,$(RUN))
DEV_STAMP := $(VENV)/dev-$(call SUM,$(DEV))
PATH_STAMP := $(VENV)/path-$(subst /,-,$(SOURCES))

.PHONY: run test test-mine test-unit test-api test-all test-system test-tools proof contract token types sdk clients lint lint-spec bench hot site lock lock-engine release-spec wheel ci-packages ci-programs
.DEFAULT_GOAL := run

run: $(RUN_STAMP) ## Serve the API for development, with its own issuer unless AUTH0_DOMAIN is set
	@$(BIN)/python -m api run

test-mine: $(DEV_STAMP) ## Run your tests alone
	$(BIN)/python -m pytest $(ARGS)

test: test-mine ## Run your tests, and the engine's that take seconds
ifneq ($(TESTS),)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line test-unit test-api

test-unit test-api test-system test-tools: test-%:
	$(IN_TESTS) pytest --durations 10 tests/$*
endif

test-all: $(if $(AFTER_TEST),,test) ## Run those as well that need browsers, compilers, Node and other servers
ifneq ($(TESTS),)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line test-system test-tools $(if $(SAMPLE),proof)
endif

proof: $(DEV_STAMP) ## Run what takes hours: mutants, soaks, surveys (SAMPLE=1 for a small part, always the same)
ifneq ($(TESTS),)
	$(IN_TESTS) tests.proof $(if $(SAMPLE),--sample)
endif

contract: $(DEV_STAMP) ## Test the API against its contract, here or at URL
	@$(BIN)/python -m api contract $(if $(URL),--url "$(URL)") $(ARGS)

# DPOP is also the name of a setting, which knows no 1.
token: $(RUN_STAMP) ## Print a token of the development issuer (SCOPE="read:messages", SUB, ACR, CLAIMS='{"a": 1}', DPOP=1)
	@$(if $(filter 1,$(DPOP)),env -u DPOP )$(BIN)/python -m api token \
		$(if $(filter 1,$(DPOP)),--dpop) $(if $(filter undefined,$(origin SCOPE)),,--scope "$$SCOPE") \
		$(if $(SUB),--sub "$$SUB") $(if $(ACR),--acr "$$ACR") $(if $(CLAIMS),--claims "$$CLAIMS")

# LANG is also the name of the locale's variable, so only the command line's counts, and the locale gets its own again.
sdk: $(DEV_STAMP) ## Generate a client from the contract (LANG=python; without it, print the languages)
	@LANG=C.UTF-8 $(BIN)/python -m api sdk $(if $(filter command,$(origin LANG)),$(LANG),--list)

# PEP 728's closed types are left out: mypy doesn't know them.
types: $(DEV_STAMP) ## Write the contract's schemas as types into api/schemas.py
	$(BIN)/datamodel-codegen --input openapi.yaml --input-file-type openapi --output api/schemas.py \
		--output-model-type typing.TypedDict --target-python-version 3.11 --enum-field-as-literal all \
		--use-standard-collections --use-union-operator --no-use-closed-typed-dict --disable-timestamp \
		--formatters builtin --custom-file-header '"""The schemas of the contract, as `make types` writes them."""'
	@$(BIN)/ruff format --quiet api/schemas.py

lint: $(DEV_STAMP) ## Check formatting, style and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/python -m mypy
ifneq ($(TESTS),)
	cd $(ENGINE) && $(CURDIR)/$(BIN)/ruff format --check && $(CURDIR)/$(BIN)/ruff check
	$(IN_TESTS) mypy
endif

lint-spec: $(DEV_STAMP) ## Lint the contract, with Redocly's and Spectral's linters
	@$(BIN)/python -m resource_server.testing.linting openapi.yaml

release-spec: $(DEV_STAMP) ## Record openapi.yaml as released: from then on the tests say what breaks its callers
	@$(BIN)/python -m resource_server.testing.breaking openapi.yaml tests/released.yaml

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# Installs the engine's packages alone: a pin of yours may be at odds with a later engine's until it is renewed here.
lock: | $(PATH_STAMP) ## Pin what pyproject.toml adds to the engine's packages (ARGS=--upgrade for the newest)
	@echo "Installing the engine's packages into $(VENV), then resolving what pyproject.toml adds: a minute or two …" >&2
	@$(PIP_INSTALL) -r $(ENGINE)/requirements-dev.txt
	@$(BIN)/python -m resource_server.developing.lock $(ENGINE) $(COMPILE) $(ARGS)

# The engine's own: what it is developed with.

clients: $(DEV_STAMP) ## Build and call the clients in every language, and write down in docs/clients what was run
	cd $(ENGINE) && CLIENTS_TABLE=write $(CURDIR)/$(BIN)/python -m pytest tests/tools/test_clients.py

bench: $(DEV_STAMP) $(VENV)-bench/installed ## Time the API and its peers side by side (ARGS="--help")
	@$(IN_TESTS) benchmarks.throughput $(ARGS)

hot: $(DEV_STAMP) ## Compare what the hot functions cost with benchmarks/hot.json (ARGS=--record writes it anew)
	@$(IN_TESTS) benchmarks.hot $(ARGS)

site: $(VENV)-site/installed ## Make a site of docs/ in the folder site/, and fail if a link in it leads nowhere
	@$(VENV)-site/bin/python -m sphinx --quiet --fail-on-warning --fresh-env --jobs 2 --doctree-dir .site_cache \
		--conf-dir $(ENGINE)/site $(ENGINE)/docs site
	@echo "Made site/index.html" >&2

wheel: $(DEV_STAMP) ## Build the engine's wheel into dist/
	$(IN_TESTS) hatchling build --target wheel --directory $(CURDIR)/dist

lock-engine: $(DEV_STAMP) ## Pin the newest releases that the engine's pyproject.toml allows
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade -c requirements.txt --extra run pyproject.toml -o requirements-run.txt
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade -c requirements.txt \
		--extra redis --extra tracing pyproject.toml -o requirements-extras.txt
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade -c requirements-extras.txt \
		--all-extras --group dev pyproject.toml -o requirements-dev.txt
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade -c requirements.txt --group bench -o benchmarks/requirements.txt
	cd $(ENGINE) && $(CURDIR)/$(COMPILE) --upgrade -c requirements.txt --group site -o site/requirements.txt

ci-packages: ci-programs $(if $(TESTS),$(VENV)-site/installed) ## Install what a full run of the tests needs

ci-programs:
	@bash $(ENGINE)/ci.sh

# One line in a `.pth` file puts the engine on Python's path; a path there begins at the file's own folder.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(PATH_STAMP): | $(VENV)/bin/python
	@rm -f $(VENV)/path-*
	@for site in $(VENV)/lib/python*/site-packages; do echo ../../../../$(SOURCES) > $$site/resource_server.pth; done
	@touch $@

# What is installed is said on stderr, because a command substitution takes all that `token` prints.
$(RUN_STAMP): | $(PATH_STAMP)
	@echo "Installing what the API needs into $(VENV) …" >&2
	@$(PIP_INSTALL) $(addprefix -r ,$(RUN))
	@rm -f $(VENV)/run-* && touch $@

$(DEV_STAMP): | $(PATH_STAMP)
	@echo "Installing what the API and its tests need into $(VENV) …" >&2
	@$(PIP_INSTALL) $(addprefix -r ,$(DEV))
	@rm -f $(VENV)/run-* $(VENV)/dev-* && touch $@ $(RUN_STAMP)

# The peers have dependencies of their own.
$(VENV)-bench/installed: $(ENGINE)/benchmarks/requirements.txt
	@echo "Installing the peers into $(VENV)-bench …" >&2
	@test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	@$(subst $(BIN),$(VENV)-bench/bin,$(PIP_INSTALL)) -r $(ENGINE)/benchmarks/requirements.txt
	@touch $@

# The site's references are read from the engine itself, so what it runs with is there, too.
$(VENV)-site/installed: $(ENGINE)/requirements.txt $(ENGINE)/site/requirements.txt | $(DEV_STAMP)
	@echo "Installing what makes the site into $(VENV)-site …" >&2
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-site
	@$(BIN)/uv pip install --quiet --python $(VENV)-site --no-deps --require-hashes $(addprefix -r ,$^)
	@touch $@
