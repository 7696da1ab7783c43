"""The only module that touches FAISS: k-means, and the index file.

The file is an IndexIVFPQ (inner product, residual codes of 12 × 4 bits) over a MultiIndexQuantizer
of two groups, with OnDiskInvertedLists: `index.faiss` holds codebooks and the directory of lists,
`lists.bin` beside it codes and ids. FAISS reads it with

    faiss.read_index("index.faiss", faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR)

A directory is int64[n_cells, 3]: how many windows a list holds, how many it has room for, and the
byte where it begins in lists.bin. There are first the codes (room × 6 bytes), then the ids (room ×
8 bytes, int64, 0-based starts). It stands in index.faiss as it is, so it can be mapped there.
"""

import os
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODE_BYTES, CODEWORDS, GROUPS, SUBCODE_BITS, SUBCODES, Coder
from indexer.home import build_command
from indexer.index_files import map_lists, read_proven
from indexer.index_manifest import FAISS_NAME, LISTS_NAME, read_index_manifest
from indexer.projection import DIRECTIONS

FAISS_VERSION: str = faiss.__version__
_ROW = np.dtype(np.int64).itemsize * 3
# Of the file behind the directory: no free slots, the name, the size of lists.bin.
_MAGIC = b"ilod"


def learn_centres(points: NDArray[np.int8], count: int, rounds: int, seed: int) -> NDArray[np.int8]:
    """`count` centres int8[count, d] of points int8[k, d] by k-means, rounded to integers.

    On one thread, so that sums are made in one order.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        clustering = faiss.Kmeans(
            points.shape[1],
            count,
            niter=rounds,
            seed=seed,
            max_points_per_centroid=1024,
            min_points_per_centroid=1,
        )
        clustering.train(np.ascontiguousarray(points, dtype=np.float32))
    finally:
        faiss.omp_set_num_threads(threads)
    found: Any = clustering.centroids
    centres: NDArray[np.int8] = np.clip(np.rint(found), -127, 127).astype(np.int8)
    return centres


def index_file_bytes(
    coder: Coder, directory: NDArray[np.int64], lists: str, lists_bytes: int, n_windows: int
) -> tuple[bytes, int]:
    """The bytes of index.faiss for a file of lists of that name and size beside it.

    And at which byte the directory stands in them.
    """
    quantizer = faiss.MultiIndexQuantizer(DIRECTIONS, GROUPS, coder.bits)
    faiss.copy_array_to_vector(coder.centroids.astype(np.float32).ravel(), quantizer.pq.centroids)
    quantizer.ntotal = coder.n_cells
    quantizer.is_trained = True
    index: Any = faiss.IndexIVFPQ(
        quantizer,
        DIRECTIONS,
        coder.n_cells,
        SUBCODES,
        SUBCODE_BITS,
        faiss.METRIC_INNER_PRODUCT,
    )
    index.quantizer_trains_alone = 1
    faiss.copy_array_to_vector(coder.codewords.astype(np.float32).ravel(), index.pq.centroids)
    index.is_trained = True
    inverted: Any = faiss.OnDiskInvertedLists(coder.n_cells, CODE_BYTES, lists)
    inverted.lists.resize(coder.n_cells)
    rows = np.ascontiguousarray(directory, dtype=np.int64)
    faiss.memcpy(inverted.lists.data(), faiss.swig_ptr(rows), rows.nbytes)
    inverted.totsize = lists_bytes
    inverted.read_only = True
    index.replace_invlists(inverted, False)
    index.ntotal = n_windows
    content = faiss.serialize_index(index).tobytes()
    return content, _find_directory(content, rows, lists)


def _find_directory(content: bytes, rows: NDArray[np.int64], name: str) -> int:
    """Where the directory stands: before no slots (8 bytes), the name, and the size."""
    tail = 8 + 8 + len(name.encode()) + 8
    start = len(content) - tail - rows.nbytes
    head = len(_MAGIC) + 8 + 8 + 8  # lists, bytes a code, rows
    found = content[start - head : start]
    counts = np.frombuffer(found[len(_MAGIC) :], dtype=np.int64)
    if (
        found[: len(_MAGIC)] != _MAGIC
        or counts.tolist() != [len(rows), CODE_BYTES, len(rows)]
        or content[start : start + rows.nbytes] != rows.tobytes()
    ):
        raise AssertionError(f"FAISS {faiss.__version__} writes lists in a form we do not know")
    return start


class FaissIndex:
    """An index's folder opened by FAISS itself, its lists mapped: what others can do with it.

    FAISS parses what it is given, so the files are proven first; StoreDamaged where they are not
    what the manifest says. Slow beside query/lists.py, which reads the same lists; the
    tests compare the two.
    """

    def __init__(self, folder: Path) -> None:
        remedy = build_command(folder.parent)
        manifest = read_index_manifest(folder, remedy)
        read_proven(folder / FAISS_NAME, manifest.index, remedy)
        map_lists(folder / LISTS_NAME, manifest.lists, remedy)
        # the largest it makes is a table of all codewords for each list, of 24 bytes in the file
        largest = manifest.index.n_bytes * (1 + 4 * SUBCODES * CODEWORDS // _ROW)
        faiss.set_deserialization_vector_byte_limit(largest)
        faiss.set_deserialization_loop_limit(manifest.index.n_bytes)
        faiss.set_deserialization_lattice_r2_limit(1)
        flags = faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR
        # A child does not keep its parent alive: both are ours.
        self._parent: Any = faiss.read_index(os.fspath(folder / FAISS_NAME), flags)
        self._index: Any = faiss.downcast_index(self._parent)

    @property
    def n_windows(self) -> int:
        """Windows in the lists."""
        return int(self._index.ntotal)

    def read_list(self, cell: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """(codes uint64[k], starts int64[k]) of one list, copied."""
        lists = self._index.invlists
        size = lists.list_size(cell)
        if size == 0:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        codes = faiss.rev_swig_ptr(lists.get_codes(cell), size * CODE_BYTES).copy()
        ids = faiss.rev_swig_ptr(lists.get_ids(cell), size).copy()
        wide = np.zeros((size, 8), dtype=np.uint8)
        wide[:, :CODE_BYTES] = codes.reshape(size, CODE_BYTES)
        return wide.view(np.uint64).ravel(), ids

    def range_search(
        self, query: NDArray[np.float32], cells: NDArray[np.int64], least: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(starts, inner products) of windows in `cells` whose product with query is > least."""
        from faiss.contrib.ivf_tools import range_search_preassigned  # noqa: PLC0415

        lists = np.ascontiguousarray(cells, dtype=np.int64).reshape(1, -1)
        self._index.nprobe = lists.shape[1]
        search: Any = range_search_preassigned  # it has no types
        _, products, starts = search(
            self._index, query.reshape(1, -1).astype(np.float32), least, lists
        )
        return starts, products
