"""A store's shards: which there are, where they are, and what proves that they belong together.

    STORE/shards/manifest.json                  which shards, which coder
    STORE/shards/coder.npz                      projection and codebooks, learned once for all
    STORE/shards/pi-62500083/                   the first shard: a store, with its index
    STORE/shards/pi-62500083-from-62500001/     the next: 83 of its decimals are the first one's too

    n = 1,000 decimals, 917 windows, 3 shards: windows 306, 306, 305, decimals 389, 389, 388, from
    offsets 1, 307 and 613 on

A store without them is its own only shard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.cells import Coder
from indexer.checksums import FileRecord, read_record
from indexer.constants import MAX_DIGITS, MIN_DIGITS
from indexer.digits import DigitStore, read_store
from indexer.documents import read_document, write_document
from indexer.errors import StoreDamaged, StoreForeign
from indexer.home import OLD, SHARDS, StoreName, build_command
from indexer.index_files import open_index, read_coder
from indexer.index_manifest import CODER_NAME
from indexer.manifest import MANIFEST_NAME
from indexer.summary import MODULUS, merge_decimal_hash
from indexer.window import WINDOW, count_windows

WORK_NAME = f"{SHARDS}.wip"
OLD_NAME = f"{SHARDS}{OLD}"
MOST_SHARDS = 1 << 16
_FORMAT = "pilogo-shards"
_VERSION = 1
_LARGEST_MANIFEST = 1 << 25
# Decimals that a shard shares with the next.
OVERLAP = WINDOW - 1


@dataclass(frozen=True)
class ShardFacts:
    """What a set says of a shard.

    folder is its name in the set's folder, or an absolute path; sha256 is of its decimals;
    own_hash the decimal hash of those of them that the next shard does not hold too; build names
    its index.
    """

    folder: str
    first_offset: int
    n: int
    sha256: str
    own_hash: int
    build: str


@dataclass(frozen=True)
class ShardsManifest:
    """A set of shards: the decimals it is of, the coder, the shards in order."""

    name: StoreName
    decimals_sha256: str
    coder: FileRecord
    shards: tuple[ShardFacts, ...]

    def to_document(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "constant": self.name.constant,
            "n": self.name.n,
            "first_offset": self.name.first_offset,
            "decimals_sha256": self.decimals_sha256,
            CODER_NAME: self.coder.to_document(),
            "shards": [
                {
                    "folder": shard.folder,
                    "first_offset": shard.first_offset,
                    "n": shard.n,
                    "sha256": shard.sha256,
                    "own_hash": shard.own_hash,
                    "build": shard.build,
                }
                for shard in self.shards
            ],
        }


@dataclass(frozen=True)
class ShardPlace:
    """Where the windows [first, first + n_windows) of a store are: a folder, and what it holds.

    first is a 0-based start in the whole; sha256 is that of the shard's decimals, build its
    index's, or nothing where any will do; store is the shard where it has been read already.
    """

    folder: Path
    first: int
    n_windows: int
    sha256: str
    build: str = ""
    store: DigitStore | None = None


def cut(name: StoreName, n_shards: int) -> list[StoreName]:
    """The shards of a store: consecutive windows, in numbers that differ by one at most."""
    n_windows = count_windows(name.n)
    small, larger = divmod(n_windows, n_shards)
    found, first = [], name.first_offset
    for number in range(n_shards):
        count = small + (number < larger)
        found.append(StoreName(name.constant, count + OVERLAP, first))
        first += count
    return found


def shards_folder(store_folder: Path) -> Path | None:
    """The folder of a store's shards; None where it has none."""
    for name in (SHARDS, OLD_NAME):
        folder = store_folder / name
        if folder.is_dir() and (name == SHARDS or (folder / MANIFEST_NAME).is_file()):
            return folder
    return None


def is_half_cut(store_folder: Path) -> bool:
    """Whether a store's shards were begun and not finished."""
    return shards_folder(store_folder) is None and (store_folder / WORK_NAME).is_dir()


def read_shards(store: DigitStore, folder: Path) -> ShardsManifest:
    """The manifest of a store's shards; StoreDamaged where it is missing or doubtful."""
    again = build_command(store.folder, replace=True)
    found = read_set(folder, build_command(store.folder), again)
    if (found.name, found.decimals_sha256) != (store.name, store.record.sha256):
        raise StoreForeign(
            f"{folder} holds shards of other decimals than {store.folder} describes; next: {again}"
        )
    return found


def read_set(folder: Path, remedy: str, again: str) -> ShardsManifest:
    """The manifest in a set's folder; StoreDamaged where it is missing or doubtful.

    Shards follow each other without gap, share 83 decimals, and together cover the store. again
    is the command that puts others in the place of sound ones.
    """
    if folder.is_symlink():
        raise StoreDamaged(f"{folder} is a link out of the store; next: {remedy}")
    path = folder / MANIFEST_NAME
    fields = read_document(path, _FORMAT, _VERSION, remedy, again, _LARGEST_MANIFEST)
    name = StoreName(
        fields.text("constant"),
        fields.integer("n", MIN_DIGITS, MAX_DIGITS),
        fields.integer("first_offset", 1, MAX_DIGITS),
    )
    sha256 = fields.sha256("decimals_sha256")
    shards = []
    offset, end = name.first_offset, name.first_offset + name.n
    for shard in fields.each("shards", MOST_SHARDS):
        first = shard.integer("first_offset", offset, offset)
        n = shard.integer("n", MIN_DIGITS, end - first)
        own = StoreName(name.constant, n, first)
        where = shard.text("folder")
        if where != str(own) and not (Path(where).is_absolute() and Path(where).name == str(own)):
            shard.refuse("folder", where, f"{own}, or an absolute path that ends so")
        own_hash = shard.integer("own_hash", 0, MODULUS - 1)
        found = shard.sha256("sha256"), own_hash, shard.sha256("build")
        shards.append(ShardFacts(where, first, n, *found))
        offset = first + count_windows(n)
    if offset + OVERLAP != end:
        fields.refuse("shards", f"windows up to {offset - 1:,}", f"those up to {end - WINDOW:,}")
    return ShardsManifest(name, sha256, read_record(fields, CODER_NAME), tuple(shards))


def write_shards(folder: Path, manifest: ShardsManifest) -> None:
    """Write the manifest of a set, synced, last of all."""
    write_document(folder / MANIFEST_NAME, manifest.to_document())


def read_shard(place: ShardPlace) -> DigitStore:
    """The store at a place; StoreDamaged where it is not there or another one is."""
    store = place.store or read_store(place.folder)
    if store.record.sha256 != place.sha256:
        raise StoreForeign(
            f"{place.folder} holds other decimals than the set it belongs to says; "
            f"next: {build_command(place.folder)}"
        )
    return store


def shard_places(store: DigitStore, digits: int | None = None) -> list[ShardPlace]:
    """Where the windows of a store are, or of the first `digits` of its decimals."""
    n_windows = count_windows(digits or store.n)
    folder = shards_folder(store.folder)
    if folder is None:
        return [ShardPlace(store.folder, 0, n_windows, store.record.sha256, store=store)]
    return place_shards(read_shards(store, folder), folder, n_windows)


def place_shards(manifest: ShardsManifest, folder: Path, n_windows: int) -> list[ShardPlace]:
    """Where the first n windows of a set are, whose folder this is."""
    places = []
    for shard in manifest.shards:
        first = shard.first_offset - manifest.name.first_offset
        count = min(count_windows(shard.n), n_windows - first)
        if count > 0:
            where = folder / shard.folder  # an absolute path stays as it is
            places.append(ShardPlace(where, first, count, shard.sha256, shard.build))
    return places


def merged_hash(shards: Sequence[ShardFacts]) -> int:
    """The decimal hash of all decimals but the last 83, from those of the shards."""
    merged = 0
    for shard in shards:
        merged = merge_decimal_hash(merged, shard.own_hash, count_windows(shard.n))
    return merged


def shared_coder(store: DigitStore) -> Coder:
    """The coder of a store's shards, or of its own index. Raises as open_index does."""
    folder = shards_folder(store.folder)
    if folder is None:
        return open_index(store).coder
    manifest = read_shards(store, folder)
    return read_coder(folder / CODER_NAME, manifest.coder, build_command(store.folder))
