# Bare `make` prints what there is. Everything it needs comes by itself, but git, make and Python 3.11 or newer.
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Compiled modules stay: without them each `aws` takes twice as long, and each kernel too. (Where the user's shell forbids
# them, that holds for their own programs; these lie in .venv and this folder.)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help lab test test-kind bench soak lock clean
.DEFAULT_GOAL := help

help:
	@echo "make lab     set everything up and open JupyterLab"
	@echo "make test    set everything up and run every test"
	@echo "make test-kind  the labs and the provider on kind: needs a Docker engine (on a bare Debian: eval \"\$$(.ci/engine start)\")"
	@echo "make bench   print this machine's figures"
	@echo "make soak    100 create/delete cycles, 8 clusters at once: nothing may be left"
	@echo "make lock    resolve requirements.lock again after a change of pyproject.toml"
	@echo "make clean   end the lab's clusters, remove its state and the Python environment (programs stay; lab clean --all)"

lab: $(VENV)/.ready
	@$(BIN)/lab open

test: $(VENV)/.ready
	@$(BIN)/lab setup --all || { $(BIN)/lab setup && echo "Without the node image: what needs it is left out, and named at the end."; }
	$(BIN)/pytest -n $(WORKERS)

test-kind: $(VENV)/.ready
	@$(BIN)/lab setup kind
	LAB_PROVIDER=kind $(BIN)/pytest tests/clusters/test_kind.py tests/clusters/test_nodeimage.py tests/eks/test_on_kind.py tests/labs/test_journeys.py

bench: $(VENV)/.ready
	@$(BIN)/lab setup
	@$(BIN)/python -m tests.bench

soak: $(VENV)/.ready
	@$(BIN)/lab setup
	@$(BIN)/python -m tests.bench --soak

lock: $(VENV)/.ready
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-header --quiet -o requirements.lock

clean:
	@if [ -x $(BIN)/lab ]; then $(BIN)/lab clean; fi
	rm -rf $(VENV)

# uv comes from requirements.lock like everything else, by pip, with its hash; it then installs the rest.
$(VENV)/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Seen: $$(python3 --version 2>&1)." \
		"Next: install one, then: make PYTHON=/path/to/python3.12 lab"; exit 1; }
	@echo "Python environment: about 100 packages into $(VENV) (a minute the first time)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Next: install Python's venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@awk '/^uv==/ {p=1} p {print} p && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
