# Yours. `make run`, `make test` and all that any API of this kind can share is the engine's, in its rules.mk.

# The engine is the folder engine/, or the wheel in vendor/.
ENGINE := $(if $(wildcard engine),engine,.venv/wheel/resource_server/engine)
include $(ENGINE)/rules.mk

.venv/wheel/resource_server/engine/rules.mk: $(wildcard vendor/resource_server-*.whl)
	$(if $^,,$(error engine/ is missing, and vendor/ has no wheel of resource-server))
	rm -rf .venv/wheel && $(shell command -v python3.11 || command -v python3) -m zipfile --extract $^ .venv/wheel

# Your own targets.
