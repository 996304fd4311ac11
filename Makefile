# Yours. `make run`, `make test` and all that any API of this kind can share is the engine's, in its rules.mk.

# The engine is the folder engine/, or else the wheel in vendor/.
ENGINE := engine
ifeq ($(wildcard engine),)
WHEEL := $(wildcard vendor/resource_server-*.whl)
ifneq ($(words $(WHEEL)),1)
$(error Without engine/ there must be one wheel of it in vendor/, resource_server-*.whl)
endif
UNPACKED := .venv/$(notdir $(WHEEL:.whl=))
ENGINE := $(UNPACKED)/resource_server/engine

$(ENGINE)/rules.mk: $(WHEEL)
	@$(shell command -v python3.11 || command -v python3) -m zipfile --extract $< $(UNPACKED)
endif
include $(ENGINE)/rules.mk

# Your own targets.
