"""The program in a process that is watched: what it opens, what it changes, how much it takes.

One process runs command after command, so that a case costs what its command costs. The planner
is told that scans take ten seconds: the index answers, as it would at 10^9 decimals. What builds
learn is a function of the number of windows, and is learned once for each.

As a script it is that process: a command a line on standard input, what came of it on standard
output, both JSON.
"""

import contextlib
import functools
import io
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from program import Outcome

# The arguments of an audit event that are names, and whether a link there is followed. Whether
# "open" follows one, its flags tell.
_EVENTS = {
    "open": ((0, True),),
    "os.listdir": ((0, True),),
    "os.scandir": ((0, True),),
    "os.truncate": ((0, True),),
    "os.chmod": ((0, True),),
    "os.utime": ((0, True),),
    "os.mkdir": ((0, False),),
    "os.remove": ((0, False),),
    "os.rmdir": ((0, False),),
    "os.rename": ((0, False), (1, False)),
    "os.link": ((0, False), (1, False)),
    "os.symlink": ((1, False),),
}
# A file without a name is made by opening the folder of temporary files.
_SHARED = {Path("/dev/null"), Path("/dev/urandom"), Path(tempfile.gettempdir())}
# So that what grows without end ends before it takes the machine's memory.
_ADDRESS_SPACE = 4 << 30


@dataclass(frozen=True)
class Watched(Outcome):
    """How a command ended; the names outside of its home that it touched; its memory.

    grown is by how many bytes its memory was at its peak above what it was before.
    """

    touched: tuple[str, ...]
    grown: int


class WatchedProgram:
    """Runs commands of the program in one process; a new one where that has come to an end.

    A context manager. What is killed after `timeout` seconds has ended by a signal.
    """

    def __init__(self, timeout: float = 60) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "WatchedProgram":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _end(self) -> int:
        """Close the process's input and wait; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        process.stdout.close()
        return code

    def run(self, home: Path, *arguments: str) -> Watched:
        """Run `pilogo ARGUMENTS` with PILOGO_HOME=home; killed where it takes too long."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        began = time.monotonic()
        request = {"home": str(home), "arguments": arguments}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if select.select([self._process.stdout], [], [], self._timeout)[0]:
            answer = self._process.stdout.readline()
            if answer:
                found = json.loads(answer)
                return Watched(**{**found, "touched": tuple(found["touched"])})
        else:
            self._process.kill()
        seconds = time.monotonic() - began
        return Watched(self._end() or -1, "", "the process has ended", seconds, (), 0)


def _real(path: Path) -> Path:
    """The path without links; Path.resolve raises where they lead in a circle."""
    return Path(os.path.realpath(path))


class _Watch:
    """Notes names outside of the allowed folders while a command runs."""

    def __init__(self) -> None:
        here = Path(__file__).resolve()
        known = {sys.prefix, sys.base_prefix, *sys.path, here.parents[2], "/proc", "/sys"}
        self._known = [_real(Path(path)) for path in known if path]
        self._allowed: list[Path] = []
        self.touched: set[str] | None = None

    def begin(self, home: str) -> None:
        self._allowed = [_real(Path(home)), *self._known]
        self.touched = set()

    def end(self) -> list[str]:
        touched, self.touched = self.touched, None
        return sorted(touched or ())

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.touched is None or event not in _EVENTS:
            return
        for number, follow in _EVENTS[event]:
            name = arguments[number]
            if isinstance(name, str | bytes | os.PathLike):
                if event == "open" and arguments[2] & os.O_NOFOLLOW:
                    follow = False  # noqa: PLW2901
                self._note(event, os.fsdecode(name), follow)

    def _note(self, event: str, name: str, follow: bool) -> None:
        path = Path(name)
        place = _real(path) if follow else _real(path.parent) / path.name
        if place not in _SHARED and not any(place.is_relative_to(root) for root in self._allowed):
            self.touched.add(f"{event} {place}")


def _memory(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def _run(watch: _Watch, home: str, arguments: list[str]) -> dict:
    """Run one command in this process, its output caught."""
    from query import entry

    os.environ["PILOGO_HOME"] = home
    sys.stdin = io.StringIO()
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(
        io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True
    )
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is what it is
    before = _memory("VmRSS")
    watch.begin(home)
    began = time.monotonic()
    code = entry._run(arguments)
    seconds = time.monotonic() - began
    touched = watch.end()
    grown = _memory("VmHWM") - before
    out, err = (
        stream.buffer.getvalue().decode("utf-8", "replace") for stream in (sys.stdout, sys.stderr)
    )
    return {
        "code": code, "out": out, "err": err, "seconds": seconds, "touched": touched,
        "grown": grown,
    }  # fmt: skip


def _serve() -> None:
    """Answer requests until there are no more."""
    import indexer.build
    import query.finder

    query.finder.expected_seconds = lambda n_windows, threads, kernel: 10.0
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    learn = functools.cache(indexer.build.learn_coder)
    indexer.build.learn_coder = lambda n_windows, progress: learn(n_windows)
    # the program's own input and output are not these
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("r+b") as nothing:
        for handle in (0, 1):
            os.dup2(nothing.fileno(), handle)
    watch = _Watch()
    sys.addaudithook(watch)
    for line in requests:
        request = json.loads(line)
        found = _run(watch, request["home"], request["arguments"])
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
