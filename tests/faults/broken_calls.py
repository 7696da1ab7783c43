"""Running the program on a broken disk: the calls it makes, and what its home must hold after."""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from program import SMALL, Outcome, Tally, run

Case = TypeVar("Case")

LOGO = ("0123456789" * 9)[:84]
BUILD = ("build", "--digits", str(SMALL))
FIND = ("find", LOGO, "--digits", str(SMALL), "--format", "json")
_BROKEN = Path(__file__).with_name("broken")


@dataclass(frozen=True)
class Call:
    """The n-th call of a kind that a process of the program makes, and the file it is about."""

    process: str
    kind: str
    n: int
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.n} of {self.process}, {self.name}"


@dataclass(frozen=True)
class Scenario:
    """A command, and which files of the sound home are left out of the home it starts in."""

    name: str
    command: tuple[str, ...]
    left_out: str = ""

    @contextlib.contextmanager
    def home(self, sound: Path) -> Iterator[Path]:
        """A home to start in, gone at the end."""
        with tempfile.TemporaryDirectory(dir=sound.parent) as folder:
            ignore = shutil.ignore_patterns(self.left_out)
            yield Path(shutil.copytree(sound, Path(folder, "home"), ignore=ignore))


EMPTY = Scenario("empty home", BUILD, "*")
DECIMALS = Scenario("decimals there", BUILD, "index*")
REPLACE = Scenario("replace", (*BUILD, "--replace"))
ASK = Scenario("find", FIND)


@dataclass(frozen=True)
class Unbroken:
    """A command on a sound disk: the seconds it takes, its calls in their order."""

    seconds: float
    calls: tuple[Call, ...]


def run_broken(home: Path, *command: str, call: Call | None = None, what: str = "") -> Outcome:
    """Run a command, its calls under home logged beside it; to one of them `what` happens.

    What can happen is told in broken/sitecustomize.py. Once for a home.
    """
    spec = {"root": str(home), "log": str(_log(home))}
    if call:
        spec |= {"process": call.process, "kind": call.kind, "n": call.n, "what": what}
    path = os.pathsep.join(filter(None, (str(_BROKEN), os.environ.get("PYTHONPATH"))))
    done = run(home, *command, PILOGO_FAULT=json.dumps(spec), PYTHONPATH=path)
    assert call is None or call in _read_calls(home), "the call has not been made"
    return done


def _log(home: Path) -> Path:
    return home.with_name("calls.log")


def _read_calls(home: Path) -> tuple[Call, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    calls = []
    for line in _log(home).read_text().splitlines():
        process, kind, path = line.split(" ", 2)
        counts[process, kind] += 1
        name = os.path.relpath(path, home)
        calls.append(Call(process, kind, counts[process, kind], name))
    return tuple(calls)


@functools.cache
def unbroken(scenario: Scenario, sound: Path) -> Unbroken:
    """The command of a scenario on a sound disk; run once."""
    with scenario.home(sound) as home:
        done = run_broken(home, *scenario.command)
        assert done.code == 0, done.err
        assert_sound(home, sound)
        return Unbroken(done.seconds, _read_calls(home))


def _snapshot(home: Path) -> dict[str, str]:
    """What every name under home holds, times and empty locks left out."""
    found = {}
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if path.is_dir():
            found[name] = "a folder"
        elif path.suffix != ".lock" or path.stat().st_size:
            found[name] = hashlib.sha256(_lasting(path)).hexdigest()
    return found


def _lasting(path: Path) -> bytes:
    """The bytes of a file; of a manifest that says when it was made, only the rest."""
    content = path.read_bytes()
    if path.suffix != ".json" or b'"made"' not in content:
        return content
    document = json.loads(content)
    return json.dumps(
        [document[name] for name in sorted(document.keys() - {"made", "seal"})]
    ).encode()


def assert_sound(home: Path, sound: Path) -> None:
    """Every file is there and as in the sound home, and no other."""
    found, wanted = _snapshot(home), _snapshot(sound)
    names = sorted(found.keys() | wanted.keys())
    wrong = {name: (found.get(name), wanted.get(name)) for name in names}
    wrong = {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, f"(found, wanted): {wrong}"


@functools.cache
def _true_matches(sound: Path) -> str:
    done = run(sound, *FIND, "--exact")
    assert done.code == 0, done.err
    return json.dumps(json.loads(done.out)["matches"])


def assert_answer(found: Outcome, sound: Path) -> None:
    """`find` has answered, and rightly."""
    assert found.code == 0, (found.code, found.err)
    assert json.dumps(json.loads(found.out)["matches"]) == _true_matches(sound)


def assert_index_serves(home: Path, sound: Path) -> None:
    """`find` answers rightly; and an index is there and whole, which `find` could do without."""
    assert_answer(run(home, *FIND), sound)
    checked = run(home, "check", "--deep")
    assert checked.code == 0, (checked.code, checked.err)
    assert "index" in checked.out, checked.out


def assert_completes(home: Path, scenario: Scenario, sound: Path) -> None:
    """The command, run again on a sound disk, ends as if nothing had been."""
    done = run(home, *scenario.command)
    assert done.code == 0, (done.code, done.err)
    assert_sound(home, sound)


def try_each(row: Tally, cases: Iterable[Case], test: Callable[[Case], None]) -> None:
    """Every case, two at once, each counted in the row."""

    def count(case: Case) -> None:
        with row.case(case):
            test(case)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, cases))


def sample(cases: list[Case], count: int) -> list[Case]:
    """`count` of the cases, evenly spread, the last one among them."""
    return [cases[(number + 1) * len(cases) // count - 1] for number in range(count)]
