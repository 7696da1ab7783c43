"""The API under requests by its own document, valid and not (schemathesis), and under raw ones."""

import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hostile import exchange, hostile
from indexer.compute import compute_digits
from served import serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
# Any bytes are a valid body to the document, and few of them are a picture.
PICTURES = "/api/v1/bitmap"
SECRETS = (b"Traceback", b'File "', str(Path(__file__).parents[2]).encode(), sys.prefix.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("web")
    compute_digits(home, 100_000)
    with serving(home) as (address, process):
        yield address, process
        assert process.poll() is None


@pytest.mark.parametrize(
    ("selected", "most"),
    [(["--exclude-path", PICTURES], 1000), (["--include-path", PICTURES,
     "--exclude-checks", "positive_data_acceptance"], 600)],
    ids=["all but pictures", "pictures"],
)  # fmt: skip
def test_every_reply_is_what_the_document_says(server, selected, most, full, tally):
    row = tally(18)
    checks = ["--checks", "all"] if "--exclude-checks" not in selected else []
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIG, "run", f"{server[0]}/api/v1/openapi.json",
         "--seed", "1", "--no-color", "--max-examples", str(most if full else 6),
         "--workers", "2", "--phases", "coverage,fuzzing", *checks, *selected],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    _, mark, failures = done.stdout.partition("= FAILURES =")
    told = mark + failures[:1500] + "\n…\n" + done.stdout[-400:]
    generated = re.search(r"(\d+) generated", done.stdout)
    with row.case("the run"):
        assert done.returncode == 0, told
        assert generated, told
        row.tried += int(generated[1]) - 1
        assert row.tried > (most if full else 30)


def test_no_raw_request_is_more_than_refused(server, full, tally):
    row = tally(18)
    address, process = server
    open_files = Path(f"/proc/{process.pid}/fd")

    def memory():
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def ask(number):
        request = hostile(number)
        with row.case(f"{request.kind} {number}: {request.sent[:200]!r}"):
            reply = exchange(address, request)
            assert not any(secret in reply for secret in SECRETS), reply
            if reply or not request.may_be_silent:
                status = re.match(rb"HTTP/1\.1 (\d{3}) ", reply)
                assert status, reply[:200]
                assert status[1][:1] in b"24" or status[1] == b"503", reply[:500]

    def ask_all(numbers):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, numbers))

    ask_all(range(200))  # so that all that is kept is there
    before, files = memory(), len(list(open_files.iterdir()))
    ask_all(range(200, 6000 if full else 400))
    with row.case("memory, open files, and an answer"):
        assert httpx.get(f"{address}/api/v1/info").status_code == 200
        assert memory() < before + 150_000_000
        deadline = time.monotonic() + 15
        while len(list(open_files.iterdir())) > files + 2:
            assert time.monotonic() < deadline, "open files are left"
            time.sleep(0.1)


def test_slow_heads_hold_up_nobody(server, full, tally):
    row = tally(18)
    parts = urlsplit(server[0])
    slow = [socket.create_connection((parts.hostname, parts.port)) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
    deadline = time.monotonic() + 15
    for _ in range(50 if full else 5):
        with row.case("another client"):
            began = time.monotonic()
            assert httpx.get(f"{server[0]}/api/v1/info").status_code == 200
            assert time.monotonic() - began < 2
        for connection in slow:  # a byte more, which does not win time
            connection.send(b"x")
        time.sleep(0.1)
    for number, connection in enumerate(slow):
        with row.case(f"slow head {number}"):
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            assert connection.recv(1000) == b""
        connection.close()
