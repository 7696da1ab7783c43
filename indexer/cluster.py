"""Work given to other processes and machines by dask.distributed (the extra `cluster`).

    with connect("local:2") as cluster:                  # or tcp://scheduler:8786
        for number, result in cluster.run(make_shard, tasks):
            ...

What is sent are paths, ranges and the tables of a question, no decimals. A task whose worker dies
is given to another one, so every task must bear being done twice.
"""

import asyncio
import contextlib
import itertools
import os
import queue
import re
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from indexer.errors import ClusterError, UsageError, reason

if TYPE_CHECKING:
    from distributed import Client, Future

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_LOCAL = re.compile(r"local:([1-9][0-9]?)")
_ADDRESS = re.compile(r"tcp://(\S+):([1-9][0-9]{0,4})")
_LARGEST_PORT = 65535
# How long a scheduler may take to answer, and its first worker to come.
_SECONDS = 10
# How often a look is taken at whether scheduler and workers are still there.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class WorkersGone:
    """What comes of a task whose workers, the only ones that could do it, are there no more."""


def check_scheduler(text: str) -> str:
    """UsageError unless the text is an address of a scheduler, or local:N."""
    match = _ADDRESS.fullmatch(text)
    if not _LOCAL.fullmatch(text) and not (match and int(match[2]) <= _LARGEST_PORT):
        raise UsageError(
            f"the scheduler {text[:60]!r} is no address; allowed are tcp://HOST:PORT, and local:N "
            "for N processes on this machine, 1 to 99"
        )
    return text


@contextlib.contextmanager
def connect(address: str) -> "Iterator[Cluster]":
    """The workers of the scheduler at an address, or of one that is started here and ends with it.

    local:N starts N processes of one thread each. Raises UsageError for another form of address,
    ClusterError where no scheduler answers or it has no workers, or those are of another version.
    """
    check_scheduler(address)
    try:
        import distributed  # noqa: PLC0415 - half a second, and an extra
    except ModuleNotFoundError:
        raise ClusterError(
            "--scheduler needs dask.distributed, which is not installed; "
            "next: pip install 'pilogo[cluster]'"
        ) from None
    local = _LOCAL.fullmatch(address)
    if not local:
        _require_listener(address)
    with contextlib.ExitStack() as stack:
        where: Any = address
        if local:
            with _quiet_start():
                where = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=int(local[1]),
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address="127.0.0.1:0",  # any port: 8787 may be taken
                        # mapped files count as a worker's memory: it would be ended for reading
                        memory_limit=0,
                        silence_logs="CRITICAL",
                        preload=[__name__],  # dask_setup, below
                    )
                )
        try:
            client = stack.enter_context(
                distributed.Client(where, timeout=_SECONDS, set_as_default=False)
            )
            client.wait_for_workers(1, timeout=_SECONDS)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no workers; next: dask worker {address} "
                "--memory-limit 0"
            ) from None
        except OSError as error:
            raise ClusterError(
                f"no scheduler answers at {address}: {str(error)[:200]}; next: dask scheduler"
            ) from None
        cluster = Cluster(client, address)
        cluster.require_same_version()
        yield cluster


def _require_listener(address: str) -> None:
    """ClusterError at once where nothing listens: dask would try for ten seconds."""
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, UnicodeError) as error:
        raise ClusterError(
            f"no scheduler answers at {address}: {reason(error)}; next: dask scheduler"
        ) from None


def dask_setup(worker: object) -> None:
    """Runs in each process of local:N, also one that is started in a dead one's place."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Processes that are started meanwhile: one BLAS thread each, and deaf to Ctrl-C.

    Parallel are the tasks, and Ctrl-C is for the process that was called: it is not heard for the
    second or two that this takes, so that what is started inherits that it is ignored.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Cluster:
    """The workers of one scheduler."""

    def __init__(self, client: "Client", address: str) -> None:
        self._client = client
        self._address = address

    def workers(self) -> dict[str, int]:
        """The threads of each worker, by its address."""
        found: dict[str, int] = self._client.nthreads()
        return dict(sorted(found.items()))

    def require_same_version(self) -> None:
        """ClusterError unless every worker has pilogo, of this version."""
        try:
            versions: dict[str, Any] = self._client.run(_own_version, on_error="return")
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from None
        own = _own_version()
        for worker, found in versions.items():
            if found != own:
                raise ClusterError(
                    f"the worker {worker} has not pilogo {own}: {str(found)[:200]}; "
                    "install the same version there"
                )

    def ask_all(
        self, function: Callable[[Argument], Result], argument: Argument
    ) -> dict[str, Result]:
        """What every worker says to the same question, by its address."""
        try:
            said: dict[str, Result] = self._client.run(function, argument)
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from None
        return dict(sorted(said.items()))

    def run(
        self,
        function: Callable[[Argument], Result],
        tasks: Iterable[tuple[Argument, Sequence[str]]],
        *,
        at_once: int | None = None,
    ) -> Iterator[tuple[int, Result | WorkersGone]]:
        """(number, result) of each task, as they are done: an argument, and who can do it.

        Without names of workers any of them can. At a time at_once are given out, by default one
        for each thread, and tasks are taken when they are given out: one that is made late can know
        of earlier results, but comes some 10 ms later. What a task raises is raised here, and the
        others are called off. ClusterError where the scheduler is lost.
        """
        waiting = iter(enumerate(tasks))
        given: dict[Future, tuple[int, Sequence[str]]] = {}
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()

        def give_out(count: int) -> None:
            for number, (argument, workers) in itertools.islice(waiting, count):
                key = f"pilogo-{function.__name__}-{uuid.uuid4().hex}"
                only: dict[str, Any] = {"workers": list(workers)} if workers else {}
                future = self._client.submit(function, argument, key=key, pure=False, **only)
                given[future] = number, workers
                future.add_done_callback(done.put)

        try:
            give_out(at_once or max(1, sum(self.workers().values())))
            while given:
                ready = [future for future in _all_of(done) if future in given]
                results = self._gather(ready)
                if not ready and (gone := self._stranded(given)):
                    ready, results = [gone], [WorkersGone()]
                numbers = [given.pop(future)[0] for future in ready]
                yield from zip(numbers, results, strict=True)
                give_out(len(ready))
        except (OSError, TimeoutError) as error:
            raise self._lost(error) from None
        finally:
            if given:
                with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                    self._client.cancel(list(given), force=True)

    def _stranded(self, given: "dict[Future, tuple[int, Sequence[str]]]") -> "Future | None":
        """A task whose workers are all gone; ClusterError where the scheduler is."""
        if self._client.status != "running":
            raise self._lost(None)
        there = self.workers()
        for future, (_, workers) in given.items():
            if workers and not any(worker in there for worker in workers):
                self._client.cancel([future], force=True)
                return future
        return None

    def _gather(self, futures: "Sequence[Future]") -> list[Any]:
        """The results of futures that are done, in one message."""
        from distributed import KilledWorker  # noqa: PLC0415

        if any(future.status in {"cancelled", "lost"} for future in futures):
            raise self._lost(None)
        try:
            results: list[Any] = self._client.gather(list(futures)) if futures else []
        except KilledWorker as error:
            raise ClusterError(
                f"a task at {self._address} ended the workers it was given to, again and again: "
                f"{str(error)[:200]}; look into their logs, and give them more memory"
            ) from None
        except (asyncio.CancelledError, CancelledError):
            raise self._lost(None) from None
        return results

    def _lost(self, error: Exception | None) -> ClusterError:
        why = f": {str(error)[:200]}" if error and str(error) else ""
        return ClusterError(
            f"the scheduler at {self._address} is gone{why}; what is finished is kept, "
            "ask again when it is back"
        )


def _all_of(done: "queue.SimpleQueue[Future]") -> "list[Future]":
    """What is in a queue now, or comes within _LOOK_SECONDS."""
    found = []
    with contextlib.suppress(queue.Empty):
        found.append(done.get(timeout=_LOOK_SECONDS))
        while True:
            found.append(done.get_nowait())
    return found


def _own_version() -> str:
    return version("pilogo")
