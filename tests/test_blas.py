import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from indexer.blas import ONE_BLAS_THREAD


def blas_threads():
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_blas_has_one_thread_inside_and_what_it_had_outside():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    with ONE_BLAS_THREAD:
        assert blas_threads() == {1}
        with ONE_BLAS_THREAD:
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_the_blas_of_faiss_is_limited_too():
    pytest.importorskip("faiss")
    assert "faiss" in sys.modules
    with ONE_BLAS_THREAD:
        assert blas_threads() == {1}
