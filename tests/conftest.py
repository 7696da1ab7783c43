import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer.build import build_index
from indexer.compute import compute_digits
from indexer.digits import choose_store
from indexer.packaged import data_file

N = 10**7


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="faults in their full volumes (an hour)")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the full volumes are asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def contest() -> dict:
    return json.loads(data_file("contest.json").read_text())


@pytest.fixture(scope="session")
def soundcloud(contest) -> np.ndarray:
    return np.array([int(c) for c in contest["bitmap"]], np.uint8).reshape(6, 14)


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A home with the default store, 10^7 real decimals of pi (about 5 s)."""
    folder = tmp_path_factory.mktemp("home")
    compute_digits(folder, N)
    return folder


@pytest.fixture(scope="session")
def indexed_home(home, tmp_path_factory) -> Path:
    """A home with the default store and its index (about 5 s); not to be changed."""
    folder = tmp_path_factory.mktemp("indexed")
    shutil.copytree(home / f"pi-{N}", folder / f"pi-{N}")
    build_index(choose_store(folder, N))
    return folder


@pytest.fixture(scope="session")
def decimals(home) -> np.ndarray:
    """The 10^7 decimals, uint8 ASCII."""
    return np.fromfile(home / f"pi-{N}" / "decimals.txt", np.uint8)
