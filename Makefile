# SPDX-License-Identifier: GPL-2.0
# The verbs of the project. Each one is a script in tools/build; this file only dispatches.
# Bare 'make' prints help.

MAKEFLAGS += --no-print-directory --no-builtin-rules
.SUFFIXES:
.DEFAULT_GOAL := help

# What the command line gives (make run CMD='echo $HOME' SMP=2) reaches the scripts as environment,
# letter by letter; make's own variables would confuse the builds of the kernel and QEMU.
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
$(foreach v,$(GIVEN),$(eval override $v := $$(value $v))$(eval export $v))
export HAIOV_COMMAND := make $(MAKECMDGOALS)$(foreach v,$(GIVEN), $v='$(value $v)')
CLEAN_ENV := env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u GNUMAKEFLAGS

.PHONY: help all image demo bench bench-publish test soak mutants check run shell patches clean distclean cache-clean linux-tree qemu-tree

help:
	@tools/build/help

all image:
	@$(CLEAN_ENV) tools/build/stage qemu plugin image

demo bench bench-publish test soak mutants check run shell patches clean distclean cache-clean:
	@$(CLEAN_ENV) tools/build/verb-$@

bench-% soak-%:
	@$(CLEAN_ENV) ONLY='$*' tools/build/verb-$(firstword $(subst -, ,$@))

linux-tree qemu-tree:
	@$(CLEAN_ENV) tools/build/tree $(@:-tree=)

print-%:
	@tools/build/print $*
