# Yours. `make run`, `make test` and all that any API of this kind can share is the engine's, in its rules.mk.

# The engine is the folder engine/, or else the wheel in vendor/.
ENGINE := engine
ifeq ($(wildcard engine),)
WHEEL := $(or $(wildcard vendor/resource_server-*.whl),$(error engine/ is missing, and vendor/ has no wheel of it))
UNPACKED := .venv/$(notdir $(WHEEL:.whl=))
ENGINE := $(UNPACKED)/resource_server/engine

$(ENGINE)/rules.mk: $(WHEEL)
	@$(shell command -v python3.11 || command -v python3) -m zipfile --extract $< $(UNPACKED)
endif
include $(ENGINE)/rules.mk

# Your own targets.
