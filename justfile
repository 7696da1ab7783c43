# Recipes; each is one plain command, in the environment that is active.

default:
    @just --list

# lint, format and types
check:
    ruff check .
    ruff format --check .
    mypy

# the suite (9 minutes on two cores, with a browser)
test *ARGS:
    python -m pytest {{ARGS}}

# every fault in its full volume, and the table of ARCHITECTURE.md (an hour)
faults:
    python -m pytest --full tests/faults

# measure: the scan against C, where its time goes, start-up (needs a store of 10^9 decimals and gcc)
bench:
    python benchmarks/scan.py
    python benchmarks/kernels.py
    python benchmarks/startup.py

# measure the index (needs the index of 10^9 decimals)
bench-index:
    python benchmarks/index.py --growth
    python benchmarks/geometry.py

# the contest's lists at 10^9 decimals
contest:
    python benchmarks/contest.py

fmt:
    ruff check --fix .
    ruff format .
