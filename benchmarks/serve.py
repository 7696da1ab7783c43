"""How the server bears many clients at once: `pilogo serve` over loopback, in a process of its own.

Each client is a thread with a connection of its own that asks as soon as it has its answer, for
logos nothing was learned from. What is timed is a whole request as the client sees it. Clients and
server share the machine's processors.
"""

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import click

from indexer.corpus import held_out_logos
from indexer.options import Count, home_option
from indexer.window import HEIGHT, WIDTH
from measuring.machine import describe, print_machine, run
from query.bitmap import format_digits

_PROGRAM = Path(sys.executable).with_name("pilogo")


class Client(threading.Thread):
    """Asks until it is told to stop; statuses and seconds of its requests."""

    def __init__(self, address: str, paths: list[str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.requests: list[tuple[int, float]] = []
        self._address = urlsplit(address)
        self._paths = paths
        self._stop_asking = stop

    def run(self) -> None:
        """Ask for the paths in turn."""
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port)
        number = 0
        while not self._stop_asking.is_set():
            began = time.perf_counter()
            connection.request("GET", self._paths[number % len(self._paths)])
            reply = connection.getresponse()
            body = reply.read()
            self.requests.append((reply.status, time.perf_counter() - began))
            if reply.status == 200:
                assert len(json.loads(body)["matches"]) == 10
            else:
                time.sleep(float(reply.headers.get("retry-after", "1")))
            number += 1
        connection.close()


def _load(address: str, paths: list[str], count: int, seconds: float) -> list[tuple[int, float]]:
    """(status, seconds) of every request that so many clients make in so many seconds."""
    stop = threading.Event()
    threads = [Client(address, paths[k:] + paths[:k], stop) for k in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return [request for thread in threads for request in thread.requests]


@click.command()
@click.option("--digits", type=Count(), default=10**8, show_default=True, help="Decimals served.")
@click.option("--clients", type=click.IntRange(1, 200), multiple=True, default=(1, 8, 50),
              show_default=True, help="Clients at once; can be repeated.")  # fmt: skip
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True, help="For each.")
@home_option
def main(digits: int, clients: tuple[int, ...], seconds: int, home: Path) -> None:
    """Requests a second, and their times, by the number of clients."""
    print_machine(describe())
    logos = held_out_logos()
    process = subprocess.Popen(
        [_PROGRAM, "serve", "--port", "0", "--digits", str(digits), "--home", str(home)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().strip()  # type: ignore[union-attr]
        paths = [
            "/api/v1/find?"
            + urlencode({"bitmap": format_digits(logo.reshape(HEIGHT, WIDTH)), "missed": "0.1"})
            for logo in logos[:200]
        ]
        _load(address, paths, 1, seconds)  # brings the files in
        click.echo("| clients | requests a second | median ms | 99 % ms | refused (503) | errors |")
        click.echo("|---|---|---|---|---|---|")
        for count in clients:
            done = _load(address, paths, count, seconds)
            statuses = Counter(status for status, _ in done)
            times = sorted(1e3 * spent for status, spent in done if status == 200)
            errors = len(done) - statuses[200] - statuses[503]
            click.echo(
                f"| {count} | {statuses[200] / seconds:.0f} | {statistics.median(times):.1f} "
                f"| {times[int(0.99 * len(times))]:.0f} | {statuses[503]} | {errors} |"
            )
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    run(main)
