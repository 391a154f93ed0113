# All that a newcomer needs. Each target sets up what it lacks; a second run installs nothing.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
STAMP := $(VENV)/installed
SITE ?= build/site
SBOM ?= build/millhand-agent.cdx.json

# Debian keeps mosquitto in /usr/sbin, which is not on everybody's path.
export PATH := $(PATH):/usr/sbin

.PHONY: help demo test check bench chaos docs sbom lock upgrade clean

help:
	@echo "make demo    a simulated plant, broker, trainer and agent; ends after DEMO_SECONDS if set;"
	@echo "             ROLLOUT=1: a good and a bad model on three gateways"
	@echo "make test    the whole test suite with its coverage gate"
	@echo "make check   style, types, import rules, configuration schemas"
	@echo "make chaos   faults under load, a fuzz and a soak: half an hour; CHAOS='--only cut' for less"
	@echo "make bench   the measured promises; PEERS=1: next to other programs too"
	@echo "make docs    the documentation as a site, in $(SITE)/html; needs no network"
	@echo "make sbom    the locked agent as a CycloneDX bill of materials, in $(SBOM)"
	@echo "make lock    requirements/ after a change of pyproject.toml; what is locked stays"
	@echo "make upgrade requirements/ with the newest versions that pyproject.toml allows"
	@echo "make clean   remove what the other targets made"

demo: $(STAMP)
	$(if $(ROLLOUT),$(call debian,mosquitto,command -v mosquitto))
	$(BIN)/python -m demo

test: $(STAMP)
	$(call debian,mosquitto,command -v mosquitto)
	$(call debian,systemd,command -v systemd-analyze)
	$(call debian,chromium,command -v chromium)
	$(call debian,postgresql,ls /usr/lib/postgresql/*/bin/initdb)
	@# Three workers for two cores: a test waits for programs for more than half of its time.
	@# Tests that run make themselves take no part in the jobs of this one.
	env --unset=MAKEFLAGS $(BIN)/python -m pytest --cov --numprocesses 3 --dist worksteal

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m agent schema --check
	$(BIN)/python -m server schema --check
	$(BIN)/python -m trainer schema --check

bench: $(STAMP)
	$(call debian,mosquitto,command -v mosquitto)
	$(call debian,gcc libc6-dev,command -v cc)
	$(call debian,libmosquitto-dev,test -e /usr/include/mosquitto.h)
	$(call debian,wrk,command -v wrk)
	$(call debian,nginx-light,command -v nginx)
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers)
	$(BIN)/python -m benchmarks.http $(if $(PEERS),--peers)
	$(BIN)/python -m benchmarks.http.beside
	$(BIN)/python -m benchmarks.http.swaps
	$(BIN)/python -m benchmarks.http.memory

chaos: $(STAMP)
	$(call debian,mosquitto,command -v mosquitto)
	$(call debian,strace,command -v strace)
	$(BIN)/python -m chaos $(CHAOS)

# The pages are copied, because Sphinx writes the API pages beside them.
docs: $(STAMP)
	rm -rf $(SITE)
	mkdir -p $(SITE)/source
	cp -r --parents *.md docs $(SITE)/source
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs \
		$(SITE)/source $(SITE)/html

# What a gateway installs, from the lock alone: no network, and the same bytes again. The warning
# that is switched off says that a lock has no graph of who needs whom.
sbom: $(STAMP)
	mkdir -p $(dir $(SBOM))
	$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements requirements/agent.txt \
		--pyproject pyproject.toml --spec-version 1.6 --output-reproducible --output-file $(SBOM)

# dev.txt is resolved first, so that a gateway and a workstation get the same versions.
LOCK = $(BIN)/pip-compile --quiet $(UPGRADE) --generate-hashes --allow-unsafe \
	--build-deps-for=wheel --strip-extras --no-annotate --no-header --no-emit-index-url \
	--no-emit-trusted-host --no-emit-find-links pyproject.toml

upgrade: UPGRADE = --upgrade
lock upgrade: $(STAMP)
	$(LOCK) --extra trainer,server,grpc,cbor,msgpack,excel,postgresql,demo,dev \
		--output-file requirements/dev.txt
	$(LOCK) --constraint requirements/dev.txt --extra trainer --output-file requirements/trainer.txt
	$(LOCK) --constraint requirements/dev.txt --extra trainer,excel,postgresql \
		--output-file requirements/sources.txt
	$(LOCK) --constraint requirements/dev.txt --extra server --output-file requirements/server.txt
	$(LOCK) --constraint requirements/dev.txt --extra server,grpc --output-file requirements/grpc.txt
	$(LOCK) --constraint requirements/dev.txt --extra cbor,msgpack \
		--output-file requirements/encodings.txt
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/agent.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		f"millhand needs Python 3.11 or newer, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=...")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@# pip 23 wants coverage[toml] in a newer version than is locked, and then has no hash for it.
	sed -n '/^pip==/,/[^\\]$$/p' requirements/dev.txt | $(PIP) install --require-hashes --requirement /dev/stdin
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# $(call debian,PACKAGES,TEST) installs Debian packages where TEST fails and this user may.
define debian
	@$(2) >/dev/null 2>&1 || { \
		as=$$(test "$$(id -u)" = 0 || echo "sudo -n"); \
		$$as apt-get --version >/dev/null 2>&1 \
			|| { echo "missing: install $(1) first (sudo apt install $(1))" >&2; exit 1; }; \
		$$as apt-get update -qq && $$as apt-get install -qq --no-install-recommends $(1); \
	}
endef
