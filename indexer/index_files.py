"""Opening an index: what can be proven at once is proven, then its lists are mapped."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.cells import (
    CODEWORDS,
    ENTRY_BYTES,
    GROUP_DIRECTIONS,
    GROUPS,
    LARGEST_BITS,
    SMALLEST_BITS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
    Coder,
)
from indexer.checksums import FileRecord, LargeRecord, hash_ends
from indexer.digits import DigitStore
from indexer.errors import ResourceError, StoreDamaged, StoreForeign, StoreMissing, reason
from indexer.home import build_command
from indexer.index_folders import index_folder
from indexer.index_manifest import (
    CODER_NAME,
    FAISS_NAME,
    LISTS_NAME,
    MANIFEST_NAME,
    IndexManifest,
    read_index_manifest,
)
from indexer.mapping import map_bytes, open_plain
from indexer.projection import DIRECTIONS, Projection
from indexer.window import WINDOW, count_windows

# Small files are read and hashed whole: a coder has 28 kB, index.faiss 1.6 MB at 10^9 windows.
_LARGEST_SMALL = 1 << 25
_ROW_BYTES = 24
# Replacements in a row that a reader follows before it gives up.
_ATTEMPTS = 20


def coder_bytes(coder: Coder) -> bytes:
    """The content of coder.npz: arrays without pickles, the same bytes for the same coder."""
    stream = io.BytesIO()
    np.savez(
        stream,
        weights=coder.projection.weights,
        factors=coder.projection.factors,
        centroids=coder.centroids,
        codewords=coder.codewords,
    )
    return stream.getvalue()


def read_coder(path: Path, record: FileRecord, remedy: str) -> Coder:
    """The coder in a file whose bytes the record proves; StoreDamaged otherwise."""
    return parse_coder(read_proven(path, record, remedy), path, remedy)


def parse_coder(content: bytes, path: Path, remedy: str) -> Coder:
    """The coder that is the content of a coder.npz; StoreDamaged, naming path, where it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if any(entry.compress_type or entry.flag_bits & 1 for entry in packed.infolist()):
                raise ValueError("it is compressed or encrypted")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        centroids = arrays["centroids"]
        bits = int(centroids.shape[1]).bit_length() - 1
        shapes = {
            "weights": ((DIRECTIONS, 2, WINDOW), np.int8),
            "factors": ((DIRECTIONS,), np.float32),
            "centroids": ((GROUPS, 1 << bits, GROUP_DIRECTIONS), np.int8),
            "codewords": ((SUBCODES, CODEWORDS, SUBCODE_DIRECTIONS), np.int8),
        }
        sound = SMALLEST_BITS <= bits <= LARGEST_BITS and all(
            arrays[name].shape == shape and arrays[name].dtype == kind
            for name, (shape, kind) in shapes.items()
        )
        sound = sound and bool(np.isfinite(arrays["factors"]).all())
    except (
        ValueError, LookupError, OSError, RuntimeError, EOFError, TypeError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise StoreDamaged(f"{path} is no coder: {reason(error)}; next: {remedy}") from None
    if not sound:
        raise StoreDamaged(f"{path} has arrays of other shapes than a coder's; next: {remedy}")
    projection = Projection(arrays["weights"], arrays["factors"])
    return Coder(projection, centroids, arrays["codewords"])


def read_proven(path: Path, record: FileRecord, remedy: str) -> bytes:
    """The bytes of a small file, after their number and hash are found to be as recorded."""
    if record.n_bytes > _LARGEST_SMALL:
        raise StoreDamaged(
            f"{path}: its manifest says {record.n_bytes:,} bytes; at most {_LARGEST_SMALL:,} can "
            f"be; next: {remedy}"
        )
    try:
        with open_plain(path) as file:
            require_size(path, file.fileno(), record, remedy)
            content = file.read(record.n_bytes + 1)
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}; next: {remedy}") from None
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise StoreDamaged(f"{path} is not what its manifest says (sha256); next: {remedy}")
    return content


def map_lists(path: Path, record: LargeRecord, remedy: str) -> NDArray[np.uint8]:
    """A file of lists, mapped, after its size and its ends are found to be as recorded."""
    try:
        with open_plain(path) as file:
            require_size(path, file.fileno(), record, remedy)
            if hash_ends(file.fileno(), 0, record.n_bytes) != record.ends_sha256:
                raise StoreDamaged(
                    f"{path} does not begin and end as its manifest says (ends_sha256); "
                    f"next: {remedy}"
                )
            try:
                return map_bytes(file, record.n_bytes)
            except OSError as error:
                raise ResourceError(
                    f"{path}: {record.n_bytes:,} bytes cannot be mapped: {reason(error)}; "
                    "raise the limit on address space (ulimit -v), or use --exact"
                ) from None
    except OSError as error:
        raise StoreDamaged(f"{path} cannot be read: {reason(error)}; next: {remedy}") from None


def require_size(path: Path, handle: int, record: FileRecord, remedy: str) -> None:
    """StoreDamaged unless an open file has as many bytes as its manifest says."""
    found = os.fstat(handle).st_size
    if found != record.n_bytes:
        raise StoreDamaged(
            f"{path} has {found} bytes; the manifest says {record.n_bytes}; next: {remedy}"
        )


@dataclass(frozen=True, eq=False)
class Index:
    """An index that is complete: the decimals it covers, its coder and its lists, mapped.

    directory is int64[n_cells, 3]: windows in a list, room for them, byte offset; lists is uint8.
    """

    folder: Path
    build: str
    n: int
    coder: Coder
    directory: NDArray[np.int64]
    lists: NDArray[np.uint8]


def has_index(store: DigitStore) -> bool:
    """Whether the store has an index, sound or not."""
    return index_folder(store.folder) is not None


def open_index(store: DigitStore) -> Index:
    """The index of a store, mapped; of two that replace each other meanwhile, one or the other.

    Small files are compared with their hashes, lists with their size and their ends; what else
    the lists hold is not read. Raises StoreMissing where there is none, StoreDamaged where
    something is doubtful, ResourceError where it cannot be mapped.
    Cost: 24 bytes a list are read.
    """
    for attempt in range(_ATTEMPTS):
        folder = index_folder(store.folder)
        if folder is None:
            raise StoreMissing(f"{store.folder} has no index; next: {build_command(store.folder)}")
        before = _identity(folder)
        try:
            return _open_folder(store, folder)
        except StoreDamaged:
            if attempt + 1 == _ATTEMPTS or _identity(folder) == before:
                raise
    raise AssertionError


def _identity(folder: Path) -> tuple[int, ...]:
    """What tells one index from another that takes its place."""
    found = []
    for path in (folder, folder / MANIFEST_NAME):
        try:
            status = path.lstat()
        except OSError:
            found += [0, 0]
        else:
            found += [status.st_ino, status.st_mtime_ns]
    return tuple(found)


def read_manifest_of(store: DigitStore, folder: Path, remedy: str) -> IndexManifest:
    """The manifest in an index's folder; StoreForeign where it is of other decimals."""
    if folder.is_symlink():
        raise StoreDamaged(f"{folder} is a link out of the store; next: {remedy}")
    manifest = read_index_manifest(folder, remedy)
    if (manifest.n, manifest.decimals_sha256) != (store.n, store.record.sha256):
        raise StoreForeign(
            f"{folder} is the index of other decimals than {store.path} holds; "
            f"next: {remedy} --replace"
        )
    return manifest


def _open_folder(store: DigitStore, folder: Path) -> Index:
    remedy = build_command(store.folder)
    manifest = read_manifest_of(store, folder, remedy)
    coder = read_coder(folder / CODER_NAME, manifest.coder, remedy)
    directory = read_directory(folder / FAISS_NAME, manifest, coder.n_cells, remedy)
    lists = map_lists(folder / LISTS_NAME, manifest.lists, remedy)
    return Index(folder, manifest.build, manifest.n, coder, directory, lists)


def read_directory(
    path: Path, manifest: IndexManifest, n_cells: int, remedy: str
) -> NDArray[np.int64]:
    """The directory in index.faiss: every window is in a list, every list in lists.bin."""
    content = read_proven(path, manifest.index, remedy)
    end = manifest.directory_at + _ROW_BYTES * n_cells
    if end > len(content):
        raise StoreDamaged(f"{path} is too short for its directory; next: {remedy}")
    # a copy: it begins at any byte of the file, and is small
    rows = np.frombuffer(content[manifest.directory_at : end], dtype="<i8").reshape(-1, 3)
    sizes, room, offsets = rows.T
    most = manifest.lists.n_bytes // ENTRY_BYTES
    sound = (sizes >= 0) & (sizes <= room) & (room <= most) & (offsets >= 0)
    sound &= offsets <= manifest.lists.n_bytes - ENTRY_BYTES * np.minimum(room, most)
    if not sound.all() or int(sizes.sum()) != count_windows(manifest.n):
        raise StoreDamaged(f"{path} has no directory where its manifest says; next: {remedy}")
    return rows
