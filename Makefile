# make demo: a formula, a β-VAE and PCA on simulated heartbeats     make test: the tests
# make test-all: also the slow ones                               make check: lint, types, tests
# make bench PEERS=python-with-torch-and-pythae: against peers     make docs: the documentation
# make bench-equations PEERS=python-with-pypesto-and-torchdiffeq: equations against peers
# make bench-depth PEERS=python-with-torchdiffeq MNIST=folder: networks as equations
# make bench-flows PEERS=python-with-torchdiffeq-and-torchcfm: flows against peers
# make bench-series DATA=folder: measurements that were hidden, guessed by models of series
# make bench-discovery PEERS=python-with-pysindy: equations found from data, against pysindy
# make bench-explore: from a slider to a curve, in a headless Chromium
# make test-faults: kills, full disks, frozen workers, lost machines, counted into bench/FAULTS.md
# make bench-streaming DATA=folder: 20 GB of recordings, in memory that does not grow with them

# the first that runs and is new enough
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test test-all lint check docs bench bench-equations bench-flows bench-depth bench-discovery bench-series bench-explore bench-streaming test-faults clean

# made again when what it installs has changed
.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || \
		{ echo "unweave needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# small: a formula is fitted to every beat by itself
DEMO := zoo:ecg:starts=6 beta-vae pca --most 100 --samples 64 --seeds 3 --shares 1 --rows accuracy,cost

demo: .venv/ready
	$(BIN)/unweave compare heartbeats $(DEMO) --workers 2 --out runs/demo

test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slow'

test-all: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

check: lint test

docs: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

bench: .venv/ready
	@test -n "$(PEERS)" || { echo "name an interpreter that has torch and pythae: make bench PEERS=..."; exit 1; }
	$(BIN)/python bench/run.py --python $(PEERS)

bench-equations: .venv/ready
	@test -n "$(PEERS)" || { echo "name an interpreter that has pypesto, fides and torchdiffeq:" \
		"make bench-equations PEERS=..."; exit 1; }
	$(BIN)/python bench/equations.py --python $(PEERS)

bench-flows: .venv/ready
	@test -n "$(PEERS)" || { echo "name an interpreter that has torchdiffeq and torchcfm:" \
		"make bench-flows PEERS=..."; exit 1; }
	$(BIN)/python bench/flows.py --python $(PEERS)

bench-depth: .venv/ready
	@test -n "$(PEERS)" || { echo "name an interpreter that has torchdiffeq: make bench-depth PEERS=..."; exit 1; }
	$(BIN)/python bench/depth.py --python $(PEERS) --mnist "$(MNIST)"

bench-discovery: .venv/ready
	@test -n "$(PEERS)" || { echo "name an interpreter that has pysindy: make bench-discovery PEERS=..."; exit 1; }
	$(BIN)/python bench/discovery.py --python $(PEERS)

bench-series: .venv/ready
	@test -n "$(DATA)" || { echo "name the folder that holds physionet2012: make bench-series DATA=..."; exit 1; }
	$(BIN)/python bench/series.py --data "$(DATA)" --page

bench-explore: .venv/ready
	$(BIN)/python bench/explore.py

bench-streaming: .venv/ready
	@test -n "$(DATA)" || { echo "name a folder of WFDB records: make bench-streaming DATA=..."; exit 1; }
	$(BIN)/python bench/streaming.py --data "$(DATA)"

# the machines of a cluster need Ray: pip install 'unweave[ray]'
test-faults: .venv/ready
	$(BIN)/python bench/faults_file.py --page
	$(BIN)/python bench/faults_run.py --page
	$(BIN)/python bench/faults_disk.py --page
	$(BIN)/python bench/faults_workers.py --page
	$(BIN)/python bench/faults_problems.py --page
	$(BIN)/python bench/faults_ray.py --page

clean:
	rm -rf .venv .cache site dist
