"""Where the stores are, and the commands that error messages name as the next step."""

import os
import re
import shlex
from pathlib import Path

from indexer.constants import CONSTANTS

OLD = ".old"
_STORE = re.compile(f"({'|'.join(CONSTANTS)})-([1-9][0-9]{{1,15}})")
_WORK = re.compile(rf"({'|'.join(CONSTANTS)})-([1-9][0-9]{{1,15}}|import)\.(wip|old)")


def default_home() -> Path:
    """The folder of all stores: PILOGO_HOME, or the platform's place for a program's data."""
    from platformdirs import user_data_path  # noqa: PLC0415 - a tenth of the time of --help

    named = os.environ.get("PILOGO_HOME")
    return expand_user(named) if named else user_data_path("pilogo", appauthor=False)


def expand_user(text: str) -> Path:
    """A path as given, `~` replaced: a shell leaves it in PILOGO_HOME="~/x" and --home=~/x."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path drops "./", so that "./~" is lost


def store_folder(home: Path, constant: str, n: int) -> Path:
    """Where the store of n decimals of a constant is, complete or not there."""
    return home / f"{constant}-{n}"


def parse_store_name(name: str) -> tuple[str, int] | None:
    """(constant, n) of a folder named like a store, or None."""
    match = _STORE.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def read_folder_name(folder: Path) -> tuple[str, int] | None:
    """(constant, n) of a store's folder, also while it is being replaced, or None."""
    return parse_store_name(folder.name.removesuffix(OLD))


def is_work_name(name: str) -> bool:
    """Whether a folder of this name is pilogo's workshop: the next run clears it."""
    return _WORK.fullmatch(name) is not None


def short_count(n: int) -> str:
    """A count as one would type it: 10000000 is 1e7, 12345 is 12345."""
    digits = str(n)
    zeros = len(digits) - len(digits.rstrip("0"))
    return f"{digits[: len(digits) - zeros]}e{zeros}" if zeros >= 4 else digits


def pilogo_command(words: str, constant: str, home: Path) -> str:
    """`pilogo WORDS` to copy and run: with --constant and --home where they are needed."""
    command = f"pilogo {words}"
    if constant != "pi":
        command += f" --constant {constant}"
    if home != default_home():
        command += f" --home {shlex.quote(str(home))}"
    return command


def digits_command(words: str, constant: str, home: Path) -> str:
    """`pilogo digits WORDS` to copy and run."""
    return pilogo_command(f"digits {words}", constant, home)


def remake_command(folder: Path) -> str:
    """The command that makes a store's decimals again and puts them in its place."""
    constant, _, n = folder.name.removesuffix(OLD).rpartition("-")
    return digits_command(f"compute {short_count(int(n))} --replace", constant, folder.parent)


def build_command(folder: Path, *, replace: bool = False) -> str:
    """The command that builds the index of the store in a folder."""
    constant, _, n = folder.name.removesuffix(OLD).rpartition("-")
    words = f"build --digits {short_count(int(n))}" + (" --replace" if replace else "")
    return pilogo_command(words, constant, folder.parent)
