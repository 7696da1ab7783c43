"""The commands `pilogo find`, `bitmap` and `odds`.

Data goes to standard output, everything else to standard error. Heavy imports are made inside the
commands, so that `pilogo --help` does not wait for them. Errors are raised: entry.py reports them.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from indexer.build_cli import build
from indexer.check_cli import check
from indexer.cli import digits
from indexer.errors import LogoError, PilogoError, StoreBusy, StoreMissing
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
from indexer.progress import Progress
from query.entry import complain
from query.options import (
    MOST_MATCHES,
    check_target,
    finite,
    metric_options,
    name_gaps,
    open_cluster,
    picture_options,
    save_png,
)
from query.serve_cli import make_serve
from query.verify_cli import verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from query.answer import Answer
    from query.finder import Finder
    from query.metrics import CostTable
    from query.terminal import Style

    # The name of a logo, its bitmap and what its pixels cost.
    Question = tuple[str, NDArray[np.uint8], CostTable]

Command = TypeVar("Command", bound=Callable[..., Any])
Made = TypeVar("Made")

# What the index of the default store takes, nearly all of it learning.
_DEFAULT_INDEX_SECONDS = 4
# Every page is mapped at once where so many logos are asked for, or a stream.
_MANY_LOGOS = 50
# A line on standard input longer than this is no bitmap.
_LONGEST_LINE = 4096


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pilogo", message="%(package)s %(version)s")
def cli() -> None:
    """Find a small picture in the decimals of π.

    A picture becomes 14x6 pixels in ten shades, 84 digits; the answer is the windows of 84 decimals
    that look most like it, proven by comparing every one.

    \b
    Examples:
      pilogo find logo.png
      pilogo find logo.svg --digits 1e9 --sheet found.png
      pilogo digits compute 1e9
      pilogo odds logo.png
    """


cli.add_command(digits)
cli.add_command(build)
cli.add_command(check)
cli.add_command(verify)


def _read_picture(logo: str, picture: dict[str, Any]) -> "NDArray[np.uint8]":
    from query.bitmap import read_logo  # noqa: PLC0415

    return read_logo(logo, **picture)


def _read_table(metric: str, costs: Path | None) -> "Callable[[NDArray[np.uint8]], CostTable]":
    """What makes a bitmap's cost table; a costs file is read once, before anything else."""
    from query.metrics import cost_table, read_costs  # noqa: PLC0415

    if costs is None:
        return lambda bitmap: cost_table(bitmap, metric)
    table = read_costs(costs)
    return lambda bitmap: table


def _style() -> "Style":
    from query.terminal import choose_style  # noqa: PLC0415

    return choose_style(sys.stdout.isatty(), os.environ, sys.stdout.encoding)


def _print(text: str) -> None:
    """One answer on standard output, at once: whoever reads a stream waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@cli.command()
@click.argument("logos", nargs=-1, required=True, metavar="LOGO...")
@digits_option
@from_option
@constant_option
@metric_options
@click.option("--top", type=Count(1, MOST_MATCHES), default=10, metavar="K", show_default=True,
              help="How many matches.")  # fmt: skip
@click.option("--distinct", is_flag=True, help="Drop matches that overlap a closer one.")
@click.option("--exact", is_flag=True,
              help="Compare every window, also where there is an index; several logos in "
              "one scan.")  # fmt: skip
@click.option("--missed", type=click.FloatRange(0, min_open=True), default=0.01, metavar="E",
              show_default=True, callback=finite,
              help="How many of the top K an answer from the index may be expected to "
              "lack.")  # fmt: skip
@picture_options
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
              help="Draw a contact sheet; with several logos FILE-2.png and so on.")  # fmt: skip
@format_option
@home_option
@threads_option
@scheduler_option
@progress_option
def find(logos: tuple[str, ...], **options: Any) -> None:
    """Find the windows of π that look most like each LOGO.

    LOGO is an image (PNG, JPEG, GIF, BMP, WebP, TIFF, SVG), a text file of 84 digits, 84 digits as
    they are, or - for one bitmap of 84 digits a line on standard input, answered line by line. The
    first time, the first ten million decimals and their index are made.

    Where the store has an index (pilogo build) and it pays, the answer comes from it and says how
    many of the top it is expected to lack; otherwise, and with --exact, every window is compared.

    A logo that cannot be read is reported, the others are answered, and the exit code is 3.

    \b
    Examples:
      pilogo find logo.png
      pilogo find logo.png --digits 1e9 --metric l2 --sheet found.png
      pilogo find logo.png --exact
      pilogo find *.png --exact
      pilogo find *.svg --top 3 --distinct --format csv
      pilogo bitmap logo.png | pilogo find - --format json
      pilogo find logo.png --digits 1e12 --scheduler tcp://10.0.0.1:8786
    """
    make_table = _read_table(options["metric"], options["costs"])
    picture = {name: options[name] for name in ("fit", "invert", "trim")}
    sheet: Path | None = options["sheet"]
    if sheet is not None:
        check_target("--sheet", sheet, logos)
    finder = _open_finder(options)
    if not options["exact"] and ("-" in logos or len(logos) >= _MANY_LOGOS):
        # beside the first answers, which need not wait for it
        threading.Thread(target=_bring_in, args=(finder,), daemon=True).start()
    failed = uncovered = False

    def questions() -> "Iterator[Question]":
        nonlocal failed
        for name, read in _each_logo(logos, picture):
            try:
                bitmap = read()
            except LogoError as error:
                complain(str(error))
                failed = True
            else:
                yield name, bitmap, make_table(bitmap)

    exact = options["exact"] or not finder.has_index
    together = exact and len(logos) > 1 and "-" not in logos and not options["distinct"]
    find = _find_together if together else _find_each
    for number, answer in enumerate(find(finder, questions(), options), 1):
        uncovered = uncovered or bool(answer.uncovered)
        _print_answer(answer, options["format_"], first=number == 1)
        if sheet is not None:
            _save_sheet(answer, sheet, number)
    if failed:
        raise click.exceptions.Exit(LogoError.exit_code)
    if uncovered:
        gaps = finder.gaps(lists=not options["exact"])
        raise StoreMissing(name_gaps(gaps))


def _find_each(
    finder: "Finder", questions: "Iterator[Question]", options: dict[str, Any]
) -> Iterator["Answer"]:
    """An answer to each question, before the next is read."""
    for name, bitmap, costs in questions:
        with draw_progress(options["progress"]) as report:
            answer = finder.find(
                bitmap,
                costs=costs,
                top=options["top"],
                distinct=options["distinct"],
                exact=options["exact"],
                missed=options["missed"],
                logo=name,
                progress=report,
            )
        yield answer


def _find_together(
    finder: "Finder", questions: "Iterator[Question]", options: dict[str, Any]
) -> Iterator["Answer"]:
    """The same by scans that compare every window with many bitmaps; their answers come at once."""
    from query.together import MOST_TOGETHER  # noqa: PLC0415

    while some := list(islice(questions, MOST_TOGETHER)):
        names, bitmaps, costs = zip(*some, strict=True)
        with draw_progress(options["progress"]) as report:
            answers = finder.find_together(
                bitmaps,
                costs=costs,
                top=options["top"],
                logos=names,
                progress=report,
            )
        yield from answers


def _open_finder(options: dict[str, Any]) -> "Finder":
    """The finder of the store asked for; the default store is made where it is what is missing."""
    from query.finder import Finder, needs_default_store  # noqa: PLC0415

    home, constant, n = options["home"], options["constant"], options["digits"]
    first_offset = options.get("first_offset")
    if needs_default_store(home, constant, n, first_offset):
        with draw_progress(options["progress"]) as report:
            _make_default(home, constant, options["threads"], report)
    finder = Finder(
        home,
        digits=n,
        constant=constant,
        first_offset=first_offset,
        threads=options["threads"],
        open_shards=open_cluster(options.get("scheduler")),
    )
    if not options["exact"] and (command := finder.unfinished_build()):
        click.echo(f"the index is not complete, so every window is compared; {command}", err=True)
    return finder


def _bring_in(finder: "Finder") -> None:
    with contextlib.suppress(PilogoError):  # the first question fails in the same way, and says so
        finder.bring_in()


def _make_default(home: Path, constant: str, threads: int, report: Progress) -> None:
    """The default decimals and their index; an interrupted run goes on."""
    from indexer.build import build_index  # noqa: PLC0415
    from indexer.compute import compute_digits, plan_compute  # noqa: PLC0415
    from indexer.digits import DEFAULT_DIGITS  # noqa: PLC0415

    plan = plan_compute(DEFAULT_DIGITS, constant, threads)
    click.echo(
        f"first use: making {DEFAULT_DIGITS:,} decimals of {constant} and their index, once; "
        f"about {max(1, round(plan.seconds)) + _DEFAULT_INDEX_SECONDS} s",
        err=True,
    )
    make = partial(compute_digits, home, DEFAULT_DIGITS, constant, progress=report)
    store = _when_free(partial(make, threads=threads))
    _when_free(partial(build_index, store, threads=threads, progress=report))


def _when_free(make: Callable[[], Made]) -> Made:
    """Make a store, after whoever is making it just now: then it is there, or has failed."""
    told = False
    while True:
        try:
            return make()
        except StoreBusy as error:
            if not told:
                complain(str(error))
            told = True
            time.sleep(0.5)


def _each_logo(
    logos: tuple[str, ...], picture: dict[str, Any]
) -> Iterator[tuple[str, "Callable[[], NDArray[np.uint8]]"]]:
    """(name, reader) of every bitmap asked for, standard input read line by line."""
    from query.bitmap import picture_kind  # noqa: PLC0415

    for logo in logos:
        if logo != "-":
            yield logo, partial(_read_picture, logo, picture)
            continue
        empty = True
        for number, line in enumerate(_lines(sys.stdin.buffer), 1):
            if len(line) > _LONGEST_LINE:
                empty = False
                yield f"-:{number}", partial(_refuse_line, number)
                continue
            if number == 1 and (kind := picture_kind(line)):
                raise LogoError(
                    f"standard input is a picture ({kind}); - takes lines of 84 digits, "
                    "and a picture is read by its name: pilogo find FILE"
                )
            if line.strip():
                empty = False
                yield f"-:{number}", partial(_read_line, line, number, picture)
        if empty:
            raise LogoError("standard input is empty; - takes one bitmap of 84 digits a line")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines as they come, those longer than _LONGEST_LINE cut to one byte more."""
    while line := stream.readline(_LONGEST_LINE + 1):
        rest = line
        while len(rest) > _LONGEST_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(_LONGEST_LINE + 1)
        yield line


def _refuse_line(number: int) -> "NDArray[np.uint8]":
    raise LogoError(
        f"standard input line {number}: more than {_LONGEST_LINE:,} bytes; 84 digits are needed"
    )


def _read_line(line: bytes, number: int, picture: dict[str, Any]) -> "NDArray[np.uint8]":
    from query.bitmap import parse_digits  # noqa: PLC0415

    try:
        bitmap = parse_digits(line.decode("utf-8", "replace"))
    except LogoError as error:
        raise LogoError(f"standard input line {number}: {error}") from None
    return 9 - bitmap if picture["invert"] else bitmap


def _print_answer(answer: "Answer", format_: str, *, first: bool) -> None:
    from query.report import format_csv, format_json, format_table  # noqa: PLC0415

    if format_ == "json":
        _print(format_json(answer))
    elif format_ == "csv":
        text = format_csv([answer], header=first)
        if text:
            _print(text)
    else:
        width = shutil.get_terminal_size().columns
        _print(("" if first else "\n") + format_table(answer, style=_style(), width=width))


def _save_sheet(answer: "Answer", sheet: Path, number: int) -> None:
    from query.sheet import draw_sheet  # noqa: PLC0415

    if number > 1:
        sheet = sheet.with_name(f"{sheet.stem}-{number}{sheet.suffix}")
    save_png(draw_sheet(answer), sheet)


@cli.command()
@click.argument("logo")
@picture_options
@format_option
def bitmap(logo: str, format_: str, **picture: Any) -> None:
    """Show what a LOGO becomes: the picture, and its 84 digits.

    Into a pipe only the digits are printed, so that they can be searched.

    \b
    Examples:
      pilogo bitmap logo.png
      pilogo bitmap logo.png --fit crop --invert
      pilogo bitmap logo.png | pilogo find -
    """
    from query.bitmap import format_digits  # noqa: PLC0415
    from query.report import bitmap_csv, bitmap_json, format_bitmap  # noqa: PLC0415

    digits_ = format_digits(_read_picture(logo, picture))
    if format_ == "json":
        _print(bitmap_json(logo, digits_))
    elif format_ == "csv":
        _print(bitmap_csv(logo, digits_))
    else:
        width = shutil.get_terminal_size().columns
        _print(format_bitmap(digits_, style=_style(), width=width))


@cli.command()
@click.argument("logo")
@metric_options
@click.option("--distance", "distances", type=float, multiple=True, metavar="D", callback=finite,
              help="Say how many decimals this distance needs; can be repeated.")  # fmt: skip
@picture_options
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
              help="Draw the odds.")  # fmt: skip
@format_option
def odds(logo: str, **options: Any) -> None:
    """How close a match to expect, and how many decimals closeness needs.

    For n = 10^6 to 10^15 random decimals: the distance within which one window, and ten, are
    expected. And the other way round: how many decimals are needed to expect one window at a
    distance, down to the exact picture. Nothing is searched.

    \b
    Examples:
      pilogo odds logo.png
      pilogo odds logo.png --distance 150 --plot odds.png
      pilogo odds logo.png --metric l2 --format json
    """
    from query.odds import compute_odds  # noqa: PLC0415
    from query.report import format_odds, odds_csv, odds_json  # noqa: PLC0415

    if options["plot"] is not None:
        check_target("--plot", options["plot"], [logo])
    picture = {name: options[name] for name in ("fit", "invert", "trim")}
    make_table = _read_table(options["metric"], options["costs"])
    reference = _read_picture(logo, picture)
    table = make_table(reference)
    found = compute_odds(reference, table, distances=options["distances"], logo=logo)
    if options["format_"] == "json":
        _print(odds_json(found))
    elif options["format_"] == "csv":
        _print(odds_csv(found))
    else:
        _print(format_odds(found, style=_style()))
    if options["plot"] is not None:
        from query.plot import draw_odds  # noqa: PLC0415

        save_png(draw_odds(found), options["plot"])


cli.add_command(make_serve(_open_finder))
