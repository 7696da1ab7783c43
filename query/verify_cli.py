"""The command `pilogo verify`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import StoreMissing, UsageError
from indexer.meter import draw_progress
from indexer.options import (
    Count,
    constant_option,
    digits_option,
    format_option,
    from_option,
    home_option,
    progress_option,
    scheduler_option,
    threads_option,
)
from query.options import (
    METRICS,
    MOST_MATCHES,
    check_target,
    finite,
    name_gaps,
    open_cluster,
    save_png,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from query.verify import Verification

_MOST_LOGOS = 100_000


@click.command()
@click.option("--logos", type=Count(1, _MOST_LOGOS), default=100, metavar="N", show_default=True,
              help="How many logos to ask for, of those nothing was learned from.")  # fmt: skip
@digits_option
@from_option
@constant_option
@click.option("--metric", "metrics", type=click.Choice(METRICS), multiple=True,
              default=("l1", "l2"), show_default=True,
              help="What a distance is; can be repeated.")  # fmt: skip
@click.option("--missed", type=click.FloatRange(0, min_open=True), multiple=True, metavar="E",
              default=(1.0, 0.1, 0.01), show_default=True, callback=finite,
              help="How many of the top K an answer may be expected to lack; can be "
              "repeated.")  # fmt: skip
@click.option("--top", type=Count(1, MOST_MATCHES), default=10, metavar="K", show_default=True,
              help="How many matches.")  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
              help="Draw the misses seen against those expected.")  # fmt: skip
@format_option
@home_option
@threads_option
@scheduler_option
@progress_option
def verify(**options: Any) -> None:
    """Hold the index against exact scans: recall, calibration, speed.

    Asks for many logos that nothing was learned from, of the index and by comparing every window.
    An answer from the index says how many of the top it is expected to lack; here are these
    expectations added up, and how many it did lack.

    Exit code 1 where what was seen is not within a factor of 2 of what was expected, or above what
    was allowed, by more than chance explains (99.9 %), or where an answer contradicts the scan.

    \b
    Examples:
      pilogo verify
      pilogo verify --digits 1e9 --logos 300 --plot calibration.png
      pilogo verify --metric lightness --missed 0.1 --format json
      pilogo verify --digits 1e12 --scheduler tcp://10.0.0.1:8786
    """
    from query.finder import Finder  # noqa: PLC0415 - imports NumPy
    from query.verify import verify as run  # noqa: PLC0415

    plot: Path | None = options["plot"]
    if plot is not None:
        check_target("--plot", plot, [])
    home, constant, n = options["home"], options["constant"], options["digits"]
    _require_index(home, n, constant, options["first_offset"])
    pictures = _pictures(options["logos"])
    finder = Finder(
        home,
        digits=n,
        constant=constant,
        first_offset=options["first_offset"],
        threads=options["threads"],
        open_shards=open_cluster(options["scheduler"]),
    )
    if gaps := finder.gaps(lists=True):
        raise StoreMissing(name_gaps(gaps))
    finder.bring_in()
    with draw_progress(options["progress"]) as report:
        found = run(finder, pictures, options["metrics"], options["missed"], options["top"], report)
    _print(found, options["format_"])
    if plot is not None:
        from query.calibration_plot import draw_calibration  # noqa: PLC0415

        save_png(draw_calibration(found), plot)
    found.raise_failed(home)


def _require_index(home: Path, digits: int | None, constant: str, first_offset: int | None) -> None:
    """Say now what is missing or damaged: a finder would scan, or fail at the first question."""
    from indexer.digits import choose_store  # noqa: PLC0415
    from indexer.shards import shared_coder  # noqa: PLC0415

    shared_coder(choose_store(home, digits, constant, first_offset))


def _pictures(count: int) -> "NDArray[np.uint8]":
    """The first `count` held-out logos, uint8[count, 84]."""
    from indexer.corpus import held_out_logos  # noqa: PLC0415

    logos = held_out_logos()
    if count > len(logos):
        raise UsageError(f"--logos {count}: allowed are 1 to {len(logos)}, as many as are held out")
    return logos[:count]


def _print(found: "Verification", format_: str) -> None:
    from query.terminal import choose_style  # noqa: PLC0415
    from query.verify_report import (  # noqa: PLC0415
        format_verification,
        verification_csv,
        verification_json,
    )

    if format_ == "json":
        text = verification_json(found)
    elif format_ == "csv":
        text = verification_csv(found)
    else:
        style = choose_style(sys.stdout.isatty(), os.environ, sys.stdout.encoding)
        text = format_verification(found, style=style)
    click.echo(text)
