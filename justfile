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

# measure everything at 10^8 decimals (three quarters of an hour; says first what it needs)
bench *ARGS:
    python benchmarks/suite.py --digits 1e8 {{ARGS}}

# the same at 10^9 decimals, which the documents speak of (two hours)
bench-full *ARGS:
    python benchmarks/suite.py --digits 1e9 {{ARGS}}

# are tables and plots what the results say, and the results of this code?
bench-check *ARGS:
    python benchmarks/render.py --check {{ARGS}}

# where the time of a scan goes, and why the index has this geometry (no store needed)
bench-parts:
    python benchmarks/kernels.py
    python benchmarks/geometry.py

# the contest's lists at 10^9 decimals
contest:
    python benchmarks/contest.py

fmt:
    ruff check --fix .
    ruff format .
