"""Where the stores are, and the commands that error messages name as the next step."""

import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from indexer.constants import CONSTANTS

OLD = ".old"
# The folder of a store's shards.
SHARDS = "shards"
_SIZE = "[1-9][0-9]{1,15}(?:-from-[1-9][0-9]{0,15})?"
_STORE = re.compile(f"({'|'.join(CONSTANTS)})-({_SIZE})")
_WORK = re.compile(rf"({'|'.join(CONSTANTS)})-({_SIZE}|import)\.(wip|old)")


class StoreName(NamedTuple):
    """What a store's folder is named after; first_offset is 1 but in a part of a number."""

    constant: str
    n: int
    first_offset: int = 1

    def __str__(self) -> str:
        name = f"{self.constant}-{self.n}"
        return name if self.first_offset == 1 else f"{name}-from-{self.first_offset}"


def default_home() -> Path:
    """The folder of all stores: PILOGO_HOME, or the platform's place for a program's data."""
    from platformdirs import user_data_path  # noqa: PLC0415 - a tenth of the time of --help

    named = os.environ.get("PILOGO_HOME")
    return expand_user(named) if named else user_data_path("pilogo", appauthor=False)


def expand_user(text: str) -> Path:
    """A path as given, `~` replaced: a shell leaves it in PILOGO_HOME="~/x" and --home=~/x."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path drops "./", so that "./~" is lost


def store_folder(home: Path, constant: str, n: int, first_offset: int = 1) -> Path:
    """Where the store of n decimals of a constant is, complete or not there."""
    return home / str(StoreName(constant, n, first_offset))


def parse_store_name(name: str) -> StoreName | None:
    """What a folder that is named like a store is named after, or None."""
    match = _STORE.fullmatch(name)
    if not match:
        return None
    n, _, first_offset = match[2].partition("-from-")
    found = StoreName(match[1], int(n), int(first_offset or 1))
    return found if str(found) == name else None


def read_folder_name(folder: Path) -> StoreName | None:
    """What a store's folder is named after, also while it is being replaced, or None."""
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
    whole, name = _named(folder)
    if whole != folder:  # a shard: it is cut again
        return build_command(folder)
    words = f"compute {short_count(name.n)} --replace"
    if name.first_offset > 1:  # only whole beginnings can be computed
        words = f"import FILE --from {name.first_offset} --replace"
    return digits_command(words, name.constant, folder.parent)


def build_command(folder: Path, *, replace: bool = False, shards: int | None = None) -> str:
    """The command that builds the index of a folder's store, or of the store it is a shard of."""
    folder, name = _named(folder)
    words = f"build --digits {short_count(name.n)}"
    words += f" --from {name.first_offset}" if name.first_offset > 1 else ""
    words += f" --shards {shards}" if shards else ""
    words += " --replace" if replace else ""
    return pilogo_command(words, name.constant, folder.parent)


def _named(folder: Path) -> tuple[Path, StoreName]:
    """The folder of a store and its name; that of the whole store where it is one of its shards."""
    inside = folder.parent.name in {SHARDS, f"{SHARDS}{OLD}", f"{SHARDS}.wip"}
    if inside and read_folder_name(folder.parent.parent):
        folder = folder.parent.parent
    return folder, read_folder_name(folder) or StoreName("pi", 0)
