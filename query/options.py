"""Options that `find`, `bitmap`, `odds` and `verify` share, and the pictures they write."""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indexer.errors import UsageError
from query.wording import clean_name

if TYPE_CHECKING:
    from query.finder import OpenShards

# Gaps that an error names.
_MOST_GAPS = 3
Command = TypeVar("Command", bound=Callable[..., Any])
Numbers = TypeVar("Numbers", float, tuple[float, ...])

# Spelled out for the help: the modules that define them import NumPy. A test compares them.
METRICS = ("l1", "l2", "gray-l1", "gray-l2", "lightness")
FITS = ("pad", "crop", "stretch")
MOST_MATCHES = 100_000


def picture_options(command: Command) -> Command:
    """--fit, --invert and --no-trim: how a picture becomes a bitmap."""
    for option in (
        click.option("--no-trim", "trim", flag_value=False, default=True, type=bool,
                     help="Keep a border of one colour; without this it is cut."),
        click.option("--invert", is_flag=True, help="Swap light and dark."),
        click.option("--fit", type=click.Choice(FITS), default="pad", show_default=True,
                     help="How another shape becomes 14x6: pad the sides, crop them, or stretch."),
    ):  # fmt: skip
        command = option(command)
    return command


def metric_options(command: Command) -> Command:
    """--metric and --costs: what a distance is."""
    for option in (
        click.option("--costs", type=click.Path(path_type=Path), metavar="FILE",
                     help="CSV of 84x10 numbers, in place of metric and LOGO: what a digit costs."),
        click.option("--metric", type=click.Choice(METRICS), default="l1", show_default=True,
                     help="What a distance is; see the README."),
    ):  # fmt: skip
        command = option(command)
    return command


def finite(ctx: click.Context, param: click.Parameter, value: Numbers) -> Numbers:
    """Numbers that are some: click lets nan and infinity through."""
    for number in value if isinstance(value, tuple) else (value,):
        if not math.isfinite(number):
            raise click.BadParameter(f"{number} is no number that can be compared", ctx, param)
    return value


def check_target(option: str, path: Path, logos: Sequence[str]) -> None:
    """Refuse, before any work, a picture that could not be written or would replace a logo."""
    name = clean_name(str(path))
    name = name if len(name) <= 100 else f"{name[:60]}…{name[-39:]}"
    if path.suffix.lower() != ".png":
        raise UsageError(f"{option} {name}: the picture is a PNG; allowed are names in .png")
    try:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{option} {name}: there is no folder of that name")
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:  # too long, say
        raise UsageError(f"{option} {name}: {error.strerror}; name another file") from None
    # not Path.resolve: it raises RuntimeError where a link names itself
    if any(os.path.realpath(path) == os.path.realpath(logo) for logo in logos):
        raise UsageError(f"{option} {name}: that is the logo itself; name another file")


def save_png(image: Any, path: Path) -> None:
    """Write a picture under a temporary name and rename it: a file of that name is whole or old."""
    temporary = path.with_name(f".pilogo-{os.getpid()}.wip")  # a name may be as long as can be
    try:
        image.save(temporary, format="PNG")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        name = clean_name(str(path))
        raise UsageError(f"{name} cannot be written: {error.strerror or error}") from error
    click.echo(f"{clean_name(str(path))}: {image.width}x{image.height} pixels", err=True)


def name_gaps(gaps: Sequence[str]) -> str:
    """What cannot be searched, in one line."""
    return "; ".join(gaps[:_MOST_GAPS]) + ("; …" if len(gaps) > _MOST_GAPS else "")


def open_cluster(address: str | None) -> "OpenShards | None":
    """What opens shards on a cluster, connected until the command ends; None without an address."""
    if address is None:
        return None
    from indexer.cluster import connect  # noqa: PLC0415
    from query.cluster import opener  # noqa: PLC0415

    return opener(click.get_current_context().with_resource(connect(address)))
