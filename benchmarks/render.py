"""Make the tables and plots of README.md and ARCHITECTURE.md from benchmarks/results.

What stands between `<!-- bench NAME-SIZE -->` and `<!-- /bench -->` is a table or plot of the
results of that size, as scan-1e9. Where these were not measured it is left as it is.

--check changes nothing: exit code 1 where a document is not what the results say. It also says of
which results the code has changed since: a re-run is due; with --strict that is exit code 1 too.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from indexer.errors import ClaimFailed, InputError
from measuring import record
from measuring.machine import run
from rendering.result_files import Results, short_commit
from rendering.result_plots import PLOTS
from rendering.result_tables import TABLES

DOCUMENTS = ("README.md", "ARCHITECTURE.md")
_OPENED = "<!-- bench "
_BLOCK = re.compile(r"(<!-- bench (\S+)-(\de\d+) -->\n)(.*?)(<!-- /bench -->)", re.DOTALL)
_RESULT = re.compile(r"([a-z]+)-(\de\d+)\.json")


@dataclass(frozen=True)
class Place:
    """The results, and the root of the documents that are made of them."""

    results: Path
    root: Path

    def of_size(self, size: str) -> Results:
        """The results of one size."""
        return Results(self.results, size)


@dataclass
class Document:
    """A document as it is, as its results would have it, the plots in it, and what has none."""

    path: Path
    text: str
    rendered: str
    plots: list[tuple[str, str]]
    without: list[str]


def read_document(path: Path, place: Place) -> Document:
    """One document. InputError where its markers are not in order."""
    text = path.read_text("utf-8")
    if len(_BLOCK.findall(text)) != text.count(_OPENED) or _nested(text):
        raise InputError(
            f"{path}: a marker {_OPENED}NAME-SIZE --> has no <!-- /bench --> or no size like 1e9"
        )
    document = Document(path, text, "", [], [])

    def replace(match: re.Match[str]) -> str:
        opening, name, size, body, closing = match.groups()
        made = _make(name, place.of_size(size), path)
        if made is None:
            document.without.append(f"{name}-{size}")
            return f"{opening}{body}{closing}"
        if name in PLOTS:
            document.plots.append((name, size))
        return f"{opening}\n{made}\n\n{closing}"

    document.rendered = _BLOCK.sub(replace, text)
    return document


def _nested(text: str) -> bool:
    return any(_OPENED in match.group(4) for match in _BLOCK.finditer(text))


def _make(name: str, results: Results, path: Path) -> str | None:
    """The text of a table or plot; None where its benchmark was not measured."""
    if name not in TABLES and name not in PLOTS:
        known = ", ".join([*TABLES, *PLOTS])
        raise InputError(f"{path}: no table is named {name}; there are {known}")
    try:
        return (TABLES.get(name) or PLOTS[name]).make(results)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{results.path(name)} or what belongs to it does not have what {name} shows: {error!r}"
        ) from error


def read_documents(place: Place) -> list[Document]:
    """Those that are there, under the root."""
    paths = [place.root / name for name in DOCUMENTS]
    return [read_document(path, place) for path in paths if path.is_file()]


def write_documents(place: Place) -> list[str]:
    """Make every table and plot; a line for each file that was changed."""
    documents = read_documents(place)
    said = []
    for document in documents:
        if document.rendered != document.text:
            document.path.write_text(document.rendered, encoding="utf-8")
            said.append(f"{document.path.name}: tables made")
    for name, size in {plot for document in documents for plot in document.plots}:
        plot, results = PLOTS[name], place.of_size(size)
        if not plot.is_of(results, place.root / plot.file):
            plot.save(results, place.root / plot.file)
            said.append(f"{plot.file} drawn")
    return said


def differences(place: Place) -> list[str]:
    """A line for each document or plot that is not what the results say."""
    wrong = []
    for document in read_documents(place):
        if document.rendered != document.text:
            names = ", ".join(_changed(document))
            wrong.append(f"{document.path.name} is not what the results say: {names}")
        wrong += [
            f"{PLOTS[name].file} is not of the results of {size}"
            for name, size in document.plots
            if not PLOTS[name].is_of(place.of_size(size), place.root / PLOTS[name].file)
        ]
    return wrong


def _changed(document: Document) -> Iterator[str]:
    """The names of the blocks that differ."""
    pairs = (_BLOCK.finditer(text) for text in (document.text, document.rendered))
    for before, after in zip(*pairs, strict=True):
        if before.group(4) != after.group(4):
            yield f"{before.group(2)}-{before.group(3)}"


def missing(place: Place) -> list[str]:
    """The tables and plots without a result."""
    return [name for document in read_documents(place) for name in document.without]


def ages(folder: Path) -> list[tuple[str, bool]]:
    """A line for each result, and whether its code is the code no more: a re-run is due."""
    found = []
    for path in sorted(folder.glob("*.json")):
        named = _RESULT.fullmatch(path.name)
        if not named:
            continue
        result = record.read(path)
        line = f"{path.stem}: measured at {short_commit(result)} on {result['when'][:10]}"
        changed = record.stale(result)
        if changed:
            verb = "has" if len(changed) == 1 else "have"
            again = f"python benchmarks/suite.py --digits {named[2]} --only {named[1]}"
            line += f"; {', '.join(changed)} {verb} changed since: a re-run is due ({again})"
        found.append((line, bool(changed)))
    return found


def report(place: Place, size: str) -> Path:
    """Every table and plot of one size in a document of its own, beside the results.

    ImportError where matplotlib is missing: then the plots are, and the tables are there.
    """
    results = place.of_size(size)
    path = place.results / f"report-{size}.md"
    lines = [f"# Benchmarks, {size} decimals", ""]
    for name, table in TABLES.items():
        if text := table.make(results):
            lines += [f"## {name}", "", text, ""]
    there = [plot for plot in PLOTS.values() if plot.make(results)]
    for plot in there:
        lines += [f"![{plot.name}](report-{size}-{plot.name}.png)", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    for plot in there:
        plot.save(results, path.with_name(f"report-{size}-{plot.name}.png"))
    return path


def render_after(folder: Path, size: str) -> None:
    """What a run of the suite ends with: the report of its size, and the project's documents.

    Results kept in another folder are nobody's but their owner's: the documents stay as they are.
    """
    place = Place(folder, record.ROOT)
    try:
        click.echo(f"report: {report(place, size)}")
        if folder == record.RESULTS.resolve():
            for line in write_documents(place):
                click.echo(line)
    except ImportError as error:
        click.echo(f"plots are missing: {error}; next: pip install -e '.[bench]'")


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--check", is_flag=True, help="Change nothing, say what differs.")
@click.option("--strict", is_flag=True, help="With --check: results of older code fail too.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path),
              default=record.RESULTS, metavar="DIR",
              help="Where the results are [default: benchmarks/results].")  # fmt: skip
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=record.ROOT,
              metavar="DIR", help="Where the documents are [default: the project].")  # fmt: skip
def main(check: bool, strict: bool, results: Path, root: Path) -> None:
    """Render, or check."""
    place = Place(results, root)
    if not check:
        for line in write_documents(place) or ["nothing to change"]:
            print(line)
        return
    wrong = differences(place)
    old = ages(results)
    for name in missing(place):
        print(f"{name}: no result; what stands there is left as it is")
    for line, _ in old:
        print(line)
    sys.stdout.flush()
    if wrong:
        raise ClaimFailed(f"{'; '.join(wrong)}; next: python benchmarks/render.py")
    if strict and any(due for _, due in old):
        raise ClaimFailed("results are of older code; what to run is said above")


if __name__ == "__main__":
    run(main)
