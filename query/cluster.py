"""The shards of a store searched by the workers of a cluster (indexer/cluster.py).

Every worker says which of the shards' folders it sees. Shards are dealt out in groups of neighbours
that the same workers see, a few for each thread. A task has the group's places, the question's
tables and the limit found so far; its reply has the best windows of the group, and the shards that
could not be opened: those, and what no worker sees, are gaps. Workers keep their shards open.
"""

import resource
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cells import Coder
from indexer.cluster import Cluster, WorkersGone
from indexer.digits import DigitStore
from indexer.errors import StoreError, StoreMissing
from indexer.manifest import MANIFEST_NAME
from indexer.progress import Progress, Step, silent
from indexer.shards import ShardPlace, shared_coder
from indexer.window import WINDOW
from query.list_shards import Pass, Work
from query.lists import Limits, ListQuery
from query.metrics import CostTable
from query.ranking import Best, Ranking
from query.shards import Gap, LocalShards

__all__ = ["ClusterShards", "opener"]

# Groups for each thread: so that what one has found is known to those that come later.
_GROUPS_A_THREAD = 2
# Groups that a worker keeps open.
_MOST_OPEN = 32
_OPEN_FILES = 1 << 16
# Windows whose digits are kept, because they are in an answer or nearly.
_MOST_TEXTS = 1 << 18

Places = tuple[ShardPlace, ...]


@dataclass(frozen=True)
class _Reply:
    """What a task found, and the shards it could not open: (index in its group, the error)."""

    value: Any
    missing: tuple[tuple[int, StoreError], ...] = ()


@dataclass(frozen=True)
class _Request:
    """What is asked of a group: the name of a method below, and its arguments."""

    places: Places
    ask: str
    lists: bool
    arguments: dict[str, Any] = field(default_factory=dict)


class _Group:
    """A group of shards on a worker: what requests ask of it. One at a time."""

    def __init__(self, places: Places) -> None:
        self.shards = LocalShards(places, 1)
        self.lock = threading.Lock()

    def open(self) -> None:
        """Nothing but that everything is opened."""

    def sizes(self) -> NDArray[np.int64]:
        return self.shards.sizes()

    def look(
        self, query: ListQuery, taken: Pass, top: int, limit: int, lowest: int
    ) -> tuple[Ranking, list[bytes], Work]:
        best = Best(top, limit)
        work = self.shards.look(query, taken, best, lowest)
        ranking = best.ranking()
        return ranking, self.shards.sequences(ranking.starts), work

    def scan(self, table: CostTable, top: int, limit: int) -> tuple[Ranking, list[bytes]]:
        best = Best(top, limit)
        self.shards.scan(table, best)
        ranking = best.ranking()
        return ranking, self.shards.sequences(ranking.starts)

    def sequences(self, starts: NDArray[np.int64]) -> list[bytes]:
        return self.shards.sequences(starts)

    def read(self, begin: int, end: int) -> bytes:
        return self.shards.read(begin, end)


_opened: OrderedDict[Places, _Group] = OrderedDict()
_opening = threading.Lock()


def _answer(request: _Request) -> _Reply:
    """Runs on a worker: one request of one group."""
    group = _open_group(request.places)
    with group.lock:
        gaps = group.shards.gaps(lists=request.lists)
        firsts = [place.first for place in request.places]
        missing = tuple((firsts.index(gap.first), gap.error) for gap in gaps)
        if missing:
            with _opening:
                _opened.pop(request.places, None)  # another time they may be there
        value = None
        if len(missing) < len(request.places):
            value = getattr(group, request.ask)(**request.arguments)
        return _Reply(value, missing)


def _open_group(places: Places) -> _Group:
    with _opening:
        group = _opened.get(places)
        if group is None:
            _allow_open_files()
            group = _opened[places] = _Group(places)
            while len(_opened) > _MOST_OPEN:
                _opened.popitem(last=False)
        _opened.move_to_end(places)
        return group


def _allow_open_files() -> None:
    """Each shard keeps two files open: ask for as many as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, _OPEN_FILES) if hard != resource.RLIM_INFINITY else _OPEN_FILES
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _seen(folders: Sequence[Path]) -> list[bool]:
    """Runs on a worker: which folders of stores it sees."""
    return [(folder / MANIFEST_NAME).is_file() for folder in folders]


@dataclass(frozen=True)
class _Dealt:
    """A group of shards, and the workers that see them; none are named where all do."""

    places: Places
    workers: tuple[str, ...]


def _adjacent(one: ShardPlace, other: ShardPlace) -> bool:
    return one.first + one.n_windows == other.first


def opener(cluster: Cluster) -> Callable[[DigitStore, Sequence[ShardPlace]], "ClusterShards"]:
    """What opens the shards of a store on a cluster, for a Finder."""

    def open_shards(store: DigitStore, places: Sequence[ShardPlace]) -> ClusterShards:
        return ClusterShards(cluster, places, partial(shared_coder, store))

    return open_shards


class ClusterShards:
    """Searches shards by the workers of a cluster; coder reads the coder of all lists."""

    def __init__(
        self, cluster: Cluster, places: Sequence[ShardPlace], coder: Callable[[], Coder]
    ) -> None:
        self._cluster = cluster
        self._coder = coder
        self._lost: dict[bool, dict[int, Gap]] = {False: {}, True: {}}
        self._n_windows = sum(place.n_windows for place in places)
        self._sizes: NDArray[np.int64] | None = None
        self._texts: dict[int, bytes] = {}
        self._groups = self._deal_out([replace(place, store=None) for place in places])
        list(self._ask("open", lists=False))

    def _deal_out(self, places: Sequence[ShardPlace]) -> list[_Dealt]:
        """Groups of neighbours of about equal numbers of windows; what nobody sees is lost."""
        said = self._cluster.ask_all(_seen, [place.folder for place in places])
        threads = sum(self._cluster.workers().values())
        size = self._n_windows / max(1, _GROUPS_A_THREAD * threads)
        dealt: list[tuple[tuple[int, tuple[str, ...]], list[ShardPlace]]] = []
        for number, place in enumerate(places):
            workers = tuple(worker for worker, seen in said.items() if seen[number])
            if not workers:
                error = StoreMissing(
                    f"no worker sees {place.folder}; next: a dask worker where it is"
                )
                self._lost[False][place.first] = Gap(place.first, place.n_windows, error)
                continue
            only = () if len(workers) == len(said) else workers
            key = int((place.first + place.n_windows / 2) / size), only
            if dealt and dealt[-1][0] == key and _adjacent(dealt[-1][1][-1], place):
                dealt[-1][1].append(place)
            else:
                dealt.append((key, [place]))
        return [_Dealt(tuple(inside), only) for (_, only), inside in dealt]

    def gaps(self, *, lists: bool) -> list[Gap]:
        """What no worker could open."""
        found = {**self._lost[False], **(self._lost[True] if lists else {})}
        return [found[first] for first in sorted(found)]

    def coder(self) -> Coder:
        """The coder of all lists."""
        return self._coder()

    def prepare(self, *, lists: bool, scan: bool) -> None:
        """Nothing: workers open and compile when they are first asked."""

    def scan(self, table: CostTable, best: Best, progress: Progress = silent) -> None:
        """Add to best every window within its limit that can get in."""
        bare = CostTable(table.name, table.costs, table.scale)
        done = 0
        progress(Step("scan", 0, self._n_windows, "windows"))

        def arguments() -> dict[str, Any]:
            return {"table": bare, "top": best.top, "limit": best.limit_from(0)}

        for places, (ranking, texts) in self._ask("scan", arguments, lists=False):
            self._take(best, ranking, texts)
            done += sum(place.n_windows for place in places)
            progress(Step("scan", done, self._n_windows, "windows"))

    def scan_many(
        self, tables: Sequence[CostTable], bests: Sequence[Best], progress: Progress = silent
    ) -> None:
        """The same for many tables, each with its best: one after the other."""
        for table, best in zip(tables, bests, strict=True):
            self.scan(table, best, progress)

    def _take(self, best: Best, ranking: Ranking, texts: Sequence[bytes]) -> None:
        """Windows found, and their digits: the answer will want them."""
        best.add(ranking)
        if len(self._texts) > _MOST_TEXTS:
            self._texts.clear()
        self._texts.update(zip(ranking.starts.tolist(), texts, strict=True))

    def count(self, query: ListQuery, limits: Limits) -> int:
        """How many windows the lists within the limits hold.

        From the numbers of windows in each cell, which the workers are asked for once.
        """
        if self._sizes is None:
            found = [sizes for _, sizes in self._ask("sizes", lists=True)]
            if not found:
                return 0
            self._sizes = np.sum(found, axis=0)
        return query.count_windows(self._sizes, limits)

    def look(self, query: ListQuery, taken: Pass, best: Best, lowest: int) -> Work:
        """Look as far as the pass says; what is found goes into best."""

        def arguments() -> dict[str, Any]:
            limit = best.limit_from(0)
            asked = {"query": query, "taken": taken, "lowest": lowest}
            return {**asked, "top": best.top, "limit": limit}

        total = Work()
        for _, (ranking, texts, work) in self._ask("look", arguments, lists=True):
            self._take(best, ranking, texts)
            total += work
        return total

    def read(self, begin: int, end: int) -> bytes:
        """The decimals from start `begin` up to `end`."""
        text = b""
        while len(text) < end - begin:
            at = begin + len(text)
            group = self._holding(at)
            last = group.places[-1].first + group.places[-1].n_windows + WINDOW - 1
            asked = {"begin": at, "end": min(end, last)}
            text += self._one(group, "read", asked)
        return text

    def sequences(self, starts: NDArray[np.int64]) -> list[bytes]:
        """The 84 decimals at each start."""
        found = self._texts
        wanted: dict[_Dealt, list[int]] = {}
        for start in starts.tolist():
            if start not in found:
                wanted.setdefault(self._holding(start), []).append(start)
        for group, inside in wanted.items():
            texts = self._one(group, "sequences", {"starts": np.array(inside, dtype=np.int64)})
            found.update(zip(inside, texts, strict=True))
        return [found[start] for start in starts.tolist()]

    def bring_in(self) -> None:
        """Nothing: what is mapped belongs to the workers."""

    def _holding(self, start: int) -> _Dealt:
        """The group of the window at a start, or of the decimal behind the last window."""
        for group in self._groups:
            first, last = group.places[0], group.places[-1]
            if first.first <= start < last.first + last.n_windows + WINDOW - 1:
                return group
        raise StoreMissing(f"no worker sees the shard of start {start:,}")

    def _one(self, group: _Dealt, ask: str, arguments: dict[str, Any]) -> Any:
        for _, value in self._ask(ask, lambda: arguments, lists=False, groups=[group]):
            return value
        raise StoreMissing(f"no worker can open {group.places[0].folder}")

    def _ask(
        self,
        ask: str,
        arguments: Callable[[], dict[str, Any]] = dict,
        *,
        lists: bool,
        groups: Sequence[_Dealt] | None = None,
    ) -> Iterator[tuple[Places, Any]]:
        """(places, value) of every group, without the shards of it that cannot be opened.

        arguments are made when a group's turn has come. What cannot be opened is left out from here
        on. Where the workers that saw a group have gone, others are looked for, once.
        """
        stranded: list[ShardPlace] = []
        for group, reply in self._replies(groups or self._groups, ask, arguments, lists):
            if isinstance(reply, WorkersGone):
                stranded += group.places
            else:
                yield from self._taken(group, reply, lists)
        if not stranded:
            return
        again = self._deal_out(stranded)
        lost = {place.first for place in stranded}
        kept = [group for group in self._groups if group.places[0].first not in lost]
        self._groups = sorted([*kept, *again], key=lambda group: group.places[0].first)
        for group, reply in self._replies(again, ask, arguments, lists):
            if isinstance(reply, WorkersGone):
                error = StoreMissing("the workers that saw it are gone")
                lost_all = tuple((k, error) for k in range(len(group.places)))
                yield from self._taken(group, _Reply(None, lost_all), lists)
            else:
                yield from self._taken(group, reply, lists)

    def _taken(self, group: _Dealt, reply: _Reply, lists: bool) -> Iterator[tuple[Places, Any]]:
        """The part of a group that a reply is about; the rest is lost."""
        gone = {}
        for number, error in reply.missing:
            place = group.places[number]
            gone[place.first] = Gap(place.first, place.n_windows, error)
        self._lost[lists].update(gone)
        if gone:
            self._sizes = None
        if len(gone) < len(group.places):
            yield tuple(place for place in group.places if place.first not in gone), reply.value

    def _replies(
        self,
        groups: Sequence[_Dealt],
        ask: str,
        arguments: Callable[[], dict[str, Any]],
        lists: bool,
    ) -> Iterator[tuple[_Dealt, _Reply | WorkersGone]]:
        lost = {gap.first for gap in self.gaps(lists=lists)}
        asked = []
        for group in groups:
            places = tuple(place for place in group.places if place.first not in lost)
            if places:
                asked.append(_Dealt(places, group.workers))

        def tasks() -> Iterator[tuple[_Request, Sequence[str]]]:
            for group in asked:
                yield _Request(group.places, ask, lists, arguments()), group.workers

        # lists are searched in less time than it takes to give out a task: all go at once
        at_once = len(asked) if lists else None
        for number, reply in self._cluster.run(_answer, tasks(), at_once=at_once):
            yield asked[number], reply
