"""The API as a client meets it: a real server over the default store."""

import asyncio
import http.client
import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from indexer.progress import Step
from query.web import routes
from query.web.questions import MOST_DIGITS, MOST_MATCHES
from query.web.routes import MOST_UPLOAD
from served import PROGRAM, serving

ROOT = Path(__file__).parents[2]
LOGO = ROOT / "data" / "soundcloud.png"


@pytest.fixture(scope="module")
def served(indexed_home):
    with serving(indexed_home) as (address, process):
        yield address, process


@pytest.fixture
def client(served):
    with httpx.Client(base_url=served[0], timeout=60) as client:
        yield client


def problem(reply, status):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["status"] == status
    assert "Traceback" not in body["detail"]
    assert "/" + str(ROOT).split("/")[1] + "/" not in body["detail"]
    return body["detail"]


@pytest.mark.parametrize(
    "options", [{}, {"metric": "l2", "top": "3"}, {"exact": "true"}, {"distinct": "true"}]
)
def test_find_is_what_the_command_prints(client, indexed_home, bitmap, options):
    reply = client.get("/api/v1/find", params={"bitmap": bitmap, **options})
    assert reply.status_code == 200
    flags = []
    for name, value in options.items():
        flags += [f"--{name}"] if value == "true" else [f"--{name}", value]
    printed = subprocess.run(
        [PROGRAM, "find", bitmap, "--format", "json", "--home", str(indexed_home), *flags],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    ours, theirs = reply.json(), json.loads(printed)
    for body in (ours, theirs):
        del body["seconds"], body["logo"]
    assert ours == theirs
    assert list(ours) == list(theirs)


def test_a_picture_becomes_a_bitmap(client, bitmap):
    reply = client.post("/api/v1/bitmap", content=LOGO.read_bytes())
    assert reply.json()["bitmap"] == bitmap
    inverted = client.post(
        "/api/v1/bitmap", params={"invert": "true", "name": "x.png"}, content=LOGO.read_bytes()
    )
    assert inverted.json()["bitmap"] == "".join(str(9 - int(digit)) for digit in bitmap)
    assert inverted.json()["logo"] == "x.png"


def test_odds_sheet_plot_digits_and_info(client, bitmap):
    odds = client.get("/api/v1/odds", params={"bitmap": bitmap, "distance": "150"}).json()
    assert any(row["distance"] == 150 for row in odds["needed"])
    # Times its scale, this is more than a float holds.
    beyond = {"bitmap": bitmap, "metric": "lightness", "distance": "5e307"}
    needed = client.get("/api/v1/odds", params=beyond).json()["needed"]
    assert needed[-1]["log10_digits"] == 0
    for name in ("sheet", "odds.png"):
        reply = client.get(f"/api/v1/{name}", params={"bitmap": bitmap})
        assert reply.headers["content-type"] == "image/png"
        assert reply.content.startswith(b"\x89PNG")
    digits = client.get("/api/v1/digits", params={"offset": "1", "length": "20"}).json()
    assert digits["digits"] == "14159265358979323846"
    last = client.get("/api/v1/digits", params={"offset": str(10**7), "length": "84"}).json()
    assert (len(last["digits"]), last["length"]) == (1, 1)
    info = client.get("/api/v1/info").json()
    assert (info["digits"], info["index"], info["constant"]) == (10**7, True, "pi")
    given = {name: json.dumps(value).strip('"') for name, value in info["defaults"].items()}
    answers = [
        client.get("/api/v1/find", params={"bitmap": bitmap, **more}).json() for more in ({}, given)
    ]
    for answer in answers:
        del answer["seconds"]
    assert answers[0] == answers[1]


def events(client, **parameters):
    accept = {"accept": "text/event-stream"}
    with client.stream("GET", "/api/v1/find", params=parameters, headers=accept) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        text = "".join(reply.iter_text())
    pairs = [block.split("\n", 1) for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in pairs]


def test_events_tell_progress_and_the_answer(client, bitmap):
    told = events(client, bitmap=bitmap, exact="true")
    assert [name for name, _ in told][:1] == ["progress"]
    name, answer = told[-1]
    assert name == "answer"
    assert answer["certified"] is True
    plain = client.get("/api/v1/find", params={"bitmap": bitmap, "exact": "true"}).json()
    assert answer["matches"] == plain["matches"]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "words"),
    [
        ("find", {}, 400, "bitmap is missing"),
        ("find", {"bitmap": "1"}, 422, "found 1 digits; 84 are needed"),
        ("find", {"bitmap": "x" * 84}, 422, "'x' at character 1"),
        ("find", {"bitmap": "1" * 300}, 400, "300 characters"),
        ("find", {"bitmap": "1" * 84, "top": "0"}, 400, f"allowed are 1 to {MOST_MATCHES:,}"),
        ("find", {"bitmap": "1" * 84, "top": "ten"}, 400, "'ten'; it must be a whole number"),
        ("find", {"bitmap": "1" * 84, "missed": "nan"}, 400, "a number above 0"),
        ("find", {"bitmap": "1" * 84, "exact": "yes"}, 400, "must be true or false"),
        ("find", {"bitmap": "1" * 84, "metric": "l3"}, 400, "choose one of l1, l2"),
        ("find", {"bitmap": "1" * 84, "colour": "red"}, 400, "'colour' is no parameter"),
        ("find", {"bitmap": "1" * 84, "top": ["1", "2"]}, 400, "'top' is given more than once"),
        ("find", {"bitmap": "1" * 84, "logo": "x" * 9000}, 414, "longer than 8192 bytes"),
        ("odds", {"bitmap": "1" * 84, "distance": "-1"}, 400, "a number above 0"),
        ("digits", {"offset": "0"}, 400, "allowed are 1 to 10,000,000"),
        ("digits", {"offset": "1", "length": "99999"}, 400, f"1 to {MOST_DIGITS:,}"),
        ("nothing", {}, 404, "Not Found"),
        ("bitmap", {}, 405, "Method Not Allowed"),
    ],
)
def test_what_is_wrong_is_a_problem_that_says_so(client, path, parameters, status, words):
    assert words in problem(client.get(f"/api/v1/{path}", params=parameters), status)


def test_a_picture_that_is_none(client):
    reply = client.post("/api/v1/bitmap", params={"name": "a.png"}, content=b"\x89PNG\r\n\x1a\n")
    assert "a.png is a damaged PNG" in problem(reply, 422)
    problem(client.post("/api/v1/bitmap", content=b""), 422)
    form = {"content-type": "multipart/form-data; boundary=x"}
    problem(client.post("/api/v1/bitmap", content=b"--x--", headers=form), 415)
    problem(client.post("/api/v1/bitmap", content=bytes(MOST_UPLOAD + 1)), 413)


def test_another_host_or_origin_is_refused(client, served):
    problem(client.get("/api/v1/info", headers={"host": "example.org"}), 421)
    for headers in ({"origin": "http://example.org"}, {"sec-fetch-site": "cross-site"}):
        problem(client.post("/api/v1/bitmap", content=b"1" * 84, headers=headers), 403)
    own = client.post("/api/v1/bitmap", content=b"1" * 84, headers={"origin": served[0]})
    assert own.status_code == 200


def test_every_reply_has_the_policy(client):
    for path in ("/", "/api/v1/info", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page/../routes.py", "/routes.py"]
)
def test_no_path_leads_out_of_the_page(served, path):
    parts = urlsplit(served[0])
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def raw(address):
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def test_a_client_that_breaks_off_its_body_is_no_bug(indexed_home):
    with serving(indexed_home) as (address, _):  # which looks at what the server has said
        with raw(address) as connection:
            connection.sendall(
                b"POST /api/v1/bitmap HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n123"
            )
        assert httpx.get(f"{address}/api/v1/info").status_code == 200


def test_an_endless_body_is_cut(served):
    connection = raw(served[0])
    connection.sendall(
        b"POST /api/v1/bitmap HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    try:
        while sent < 3 * MOST_UPLOAD:
            connection.sendall(piece)
            sent += 0x10000
    except OSError:
        pass
    try:
        status = connection.recv(100).split(b"\r\n")[0]
    except OSError:
        status = b"413 by reset"
    assert b"413" in status
    assert sent < 3 * MOST_UPLOAD
    connection.close()


def test_too_many_at_once_are_told_to_wait(served, bitmap):
    """Flat pictures of all shades, exact: scans that take milliseconds, many at a time."""
    statuses = []

    def ask():
        reply = httpx.get(
            f"{served[0]}/api/v1/sheet", params={"bitmap": bitmap, "exact": "true"}, timeout=60
        )
        statuses.append((reply.status_code, reply.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in statuses} <= {200, 503}
    assert all(wait == "1" for status, wait in statuses if status == 503)
    assert (200, None) in statuses


class SlowFinder:
    """In place of a finder: a search that goes on until its progress is refused."""

    constant, digits, has_index = "pi", 10**7, False

    def find(self, *arguments, progress, **options):
        while True:
            progress(Step("scan", 1, 2, "windows"))
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "detail", "wait"),
    [
        (-1.0, "it waited longer than a request may; ask again in a second", 1),
        (0.3, "it took longer than a request may", None),
    ],
    ids=["waited", "took"],
)
def test_what_lasts_too_long_is_told_and_when_to_ask_again(
    monkeypatch, bitmap, seconds, detail, wait
):
    """As a reply, and as the last event where the reply has begun."""
    monkeypatch.setattr(routes, "_WORK_SECONDS", seconds)
    transport = httpx.ASGITransport(routes.make_app(SlowFinder(), ()))

    async def ask(accept):
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            parameters = {"bitmap": bitmap}
            return await client.get("/api/v1/find", params=parameters, headers={"accept": accept})

    reply = asyncio.run(ask("*/*"))
    assert problem(reply, 503) == detail
    assert reply.headers.get("retry-after") == (wait and str(wait))
    assert reply.json().get("retry_after") == wait
    stream = asyncio.run(ask("text/event-stream"))
    assert stream.status_code == 200
    name, data = stream.text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: problem"
    assert json.loads(data.removeprefix("data: ")) == reply.json()


def test_a_store_that_is_damaged_is_503_without_a_path(indexed_home, tmp_path, bitmap):
    """The file's bytes change under the server, which has it mapped."""
    import shutil

    home = shutil.copytree(indexed_home, tmp_path / "home")
    text = next(home.glob("pi-*/decimals.txt"))
    with serving(home) as (address, _):
        with text.open("rb+") as file:
            file.seek(5_000_000)
            file.write(b"xxxx")
        reply = httpx.get(f"{address}/api/v1/digits", params={"offset": "5000000"})
        assert "the store cannot answer" in problem(reply, 503)


def test_the_document_names_every_address(client):
    document = client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        for method in ("get", "post", "put"):
            status = client.request(method, path).status_code
            assert (status == 405) == (method not in item)


def test_a_taken_port_is_one_line(served, indexed_home):
    port = str(urlsplit(served[0]).port)
    done = subprocess.run(
        [PROGRAM, "serve", "--port", port, "--home", str(indexed_home)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 4
    assert f"127.0.0.1 port {port} cannot be listened on: Address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1
