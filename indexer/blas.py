"""One BLAS thread where more would be in the way.

Sums that must not depend on the number of threads are made on one; small products are faster on
one; and where we run threads of our own, those of BLAS would fight them for the processors.
"""

import sys
import threading
from functools import cache
from types import TracebackType

from threadpoolctl import ThreadpoolController


@cache
def _controller(with_faiss: bool) -> ThreadpoolController:
    """What knows the BLAS libraries that are loaded. FAISS brings one of its own, when it comes.

    Looked for once, at a cost of milliseconds.
    """
    return ThreadpoolController()


class _OneBlasThread:
    """A context in which BLAS uses one thread, for as long as any thread is inside.

    The limit is the process's, not the thread's: the first to enter sets it, the last to leave
    restores what was before. To be entered by the thread that starts others, not by those:
    threadpoolctl obeys the first thread that asks, for as long as that lives.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                controller = _controller("faiss" in sys.modules)
                self._limits = controller.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limits.restore_original_limits()


ONE_BLAS_THREAD = _OneBlasThread()
