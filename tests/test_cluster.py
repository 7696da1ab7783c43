"""Stores searched and built by the workers of dask.distributed: the same answers, whoever dies."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from indexer.cluster import check_scheduler, connect
from indexer.corpus import held_out_logos
from indexer.digits import choose_store
from indexer.errors import ClusterError, UsageError
from indexer.shard_build import build_shards, run_here, run_there
from indexer.shards import cut
from indexer.window import count_windows
from query.cluster import opener
from query.finder import Finder
from query.report import format_json

ROOT = Path(__file__).parent.parent
DASK = Path(sys.executable).with_name("dask")
COMMAND = [sys.executable, "-c", "from query.entry import main; main()"]
N = 10**7
K = 16
LOGOS = [logo.reshape(6, 14) for logo in held_out_logos()[::97][:6]]

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PILOGO")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def said(finder, bitmap, **options):
    """An answer as JSON, without the time it took."""
    return format_json(dataclasses.replace(finder.find(bitmap, **options), seconds=0.0))


@pytest.fixture(scope="module")
def sharded(home, tmp_path_factory):
    """A home with the default store in sixteen shards; not to be changed."""
    folder = tmp_path_factory.mktemp("sharded")
    shutil.copytree(home / f"pi-{N}", folder / f"pi-{N}")
    build_shards(choose_store(folder, N), K, run_here(), threads=2)
    return folder


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@dataclasses.dataclass
class Running:
    """A scheduler and its workers as people start them: processes of their own."""

    address: str
    scheduler: subprocess.Popen
    workers: list

    def start_worker(self, **more):
        log = subprocess.DEVNULL
        worker = subprocess.Popen(
            [DASK, "worker", self.address, "--nthreads", "1", "--memory-limit", "0",
             "--no-dashboard", "--no-nanny", "--death-timeout", "60"],
            env=environment(**more), stdout=log, stderr=log,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture
def running():
    """A scheduler with two workers."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = subprocess.Popen(
        [DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    found = Running(address, scheduler, [])
    try:
        found.start_worker()
        found.start_worker()
        deadline = time.monotonic() + 60
        while True:
            try:
                with connect(address) as cluster:
                    if len(cluster.workers()) == 2:
                        break
            except ClusterError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield found
    finally:
        found.stop()


@pytest.fixture
def by_index(monkeypatch):
    """The index is always cheaper."""
    import query.finder

    monkeypatch.setattr(query.finder, "expected_seconds", lambda *_: 10.0)


@pytest.mark.parametrize(
    "text",
    [
        "tls://h:1",
        "tcp://h:99999",
        "local:100",
        "local",
        "local:0",
        "local:x",
        "10.0.0.1:8786",
        "",
        "tcp://",
        "x",
    ],
)
def test_other_addresses_are_refused(text):
    with pytest.raises(UsageError, match=r"tcp://HOST:PORT, and local:N"):
        check_scheduler(text)


@pytest.mark.usefixtures("by_index")
def test_local_processes_give_the_same_json(home, indexed_home, sharded):
    one = Finder(indexed_home, threads=2)
    with connect("local:2") as cluster:
        two = Finder(sharded, open_shards=opener(cluster))
        lone = Finder(indexed_home, open_shards=opener(cluster))
        for logo in LOGOS:
            for options in ({"missed": 0.5}, {"metric": "l2"}, {"exact": True}, {"top": 200}):
                expected = said(one, logo, **options)
                assert said(two, logo, **options) == expected
                assert said(lone, logo, **options) == expected
        assert json.loads(said(two, LOGOS[0], missed=0.5))["mode"] == "index"
        assert two.read_digits(1, N) == one.read_digits(1, N)


@pytest.mark.usefixtures("by_index")
def test_processes_started_apart_and_one_killed_midway(indexed_home, sharded, running):
    one = Finder(indexed_home, threads=2)
    expected = [said(one, logo, exact=exact) for logo in LOGOS for exact in (True, False)]
    with connect(running.address) as cluster:
        finder = Finder(sharded, open_shards=opener(cluster))
        assert [
            said(finder, logo, exact=exact) for logo in LOGOS for exact in (True, False)
        ] == expected
        # a stopped process answers nothing: its tasks hang until it is killed
        victim = running.workers[0]
        victim.send_signal(signal.SIGSTOP)
        killer = threading.Timer(1.0, victim.kill)
        killer.start()
        found = [said(finder, logo, exact=exact) for logo in LOGOS for exact in (True, False)]
        killer.join()
        assert victim.wait(10) == -signal.SIGKILL
        assert found == expected
        assert len(cluster.workers()) == 1


def test_two_clients_at_once(sharded, home, running):
    expected = [said(Finder(home), logo, exact=True) for logo in LOGOS]
    answers = {}

    def ask(number):
        with connect(running.address) as cluster:
            finder = Finder(sharded, open_shards=opener(cluster))
            answers[number] = [said(finder, logo, exact=True) for logo in LOGOS]

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(120)
    assert answers == {0: expected, 1: expected}


def test_a_shard_that_no_worker_sees(sharded, tmp_path, running):
    home = tmp_path / "home"
    shutil.copytree(sharded, home)
    gone = cut(choose_store(home, N).name, K)[5]
    shutil.rmtree(home / f"pi-{N}" / "shards" / str(gone))
    local = Finder(home)
    with connect(running.address) as cluster:
        finder = Finder(home, open_shards=opener(cluster))
        for exact in (True, False):
            answer = finder.find(LOGOS[0], exact=exact)
            assert not answer.certified
            last = gone.first_offset + count_windows(gone.n) - 1
            assert answer.uncovered == ((gone.first_offset, last),)
            expected = dataclasses.replace(local.find(LOGOS[0], exact=exact), seconds=0.0)
            assert dataclasses.replace(answer, seconds=0.0) == expected
        assert "no worker sees" in finder.gaps()[0]


def test_a_dead_scheduler_is_a_clear_error(sharded):
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "find", "1" * 84, "--home", sharded, "--scheduler", address],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"pilogo: no scheduler answers at {address}")
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < 5


def test_a_scheduler_that_dies_under_a_question(sharded, running):
    with connect(running.address) as cluster:
        finder = Finder(sharded, open_shards=opener(cluster))
        finder.find(LOGOS[0], exact=True)
        running.scheduler.kill()
        running.scheduler.wait()
        with pytest.raises(ClusterError, match="is gone"):
            finder.find(LOGOS[0], exact=True)


def test_a_scheduler_without_workers(running, monkeypatch):
    monkeypatch.setattr("indexer.cluster._SECONDS", 1)
    for worker in running.workers:
        worker.kill()
        worker.wait()
    time.sleep(1)
    with (
        pytest.raises(ClusterError, match="has no workers; next: dask worker"),
        connect(running.address),
    ):
        pass


def files_of(folder):
    """The bytes of what must not differ between builds; decimals' manifests carry a time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (path.parent.name == "index" or path.name != "manifest.json")
    }


def test_a_build_by_workers_one_of_which_is_killed(home, sharded, tmp_path, running):
    target = tmp_path / "home"
    shutil.copytree(home / f"pi-{N}", target / f"pi-{N}")
    store = choose_store(target, N)
    done = []
    with connect(running.address) as cluster:

        def runner(tasks):
            for facts in run_there(cluster)(tasks):
                done.append(facts)
                if len(done) == 3:
                    running.workers[0].kill()
                yield facts

        folder = build_shards(store, K, runner, threads=1)
    assert running.workers[0].wait(10) == -signal.SIGKILL
    assert files_of(folder) == files_of(sharded / f"pi-{N}" / "shards")


def test_commands_on_a_cluster(home, tmp_path, soundcloud):
    shutil.copytree(home / f"pi-{N}", tmp_path / f"pi-{N}")

    def pilogo(*arguments):
        done = subprocess.run(
            [*COMMAND, *map(str, arguments), "--home", str(tmp_path), "--scheduler", "local:2"],
            env=environment(), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
        return done.stdout

    built = pilogo("build", "--digits", "1e7", "--shards", "3").strip()
    assert built == str(tmp_path / f"pi-{N}" / "shards")
    logo = "".join(map(str, soundcloud.ravel()))
    found = json.loads(pilogo("find", logo, "--exact", "--format", "json"))
    assert found["certified"] is True
    assert found["matches"][0]["offset"] == Finder(home).find(soundcloud).matches[0].offset
    assert "recall" in pilogo("verify", "--logos", "3", "--metric", "l1", "--missed", "1")
    shutil.rmtree(tmp_path / f"pi-{N}" / "shards" / str(cut(choose_store(home, N).name, 3)[1]))
    for command in (["find", logo, "--exact"], ["verify", "--logos", "2"]):
        done = subprocess.run(
            [*COMMAND, *command, "--home", str(tmp_path)],
            env=environment(), capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 4
        assert "offsets 3,333,307 to 6,666,612 cannot be searched" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("again", [False, True], ids=["once", "killed"])
def test_a_build_that_is_interrupted_goes_on(home, sharded, tmp_path, again):
    target = tmp_path / "home"
    shutil.copytree(home / f"pi-{N}", target / f"pi-{N}")
    command = [*COMMAND, "build", "--digits", "1e7", "--shards", str(K), "--home", str(target)]
    work = target / f"pi-{N}" / "shards.wip"
    building = subprocess.Popen(
        [*command, "--scheduler", "local:2"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(work.glob("pi-*/index"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # as a terminal does it: the whole group hears it
    os.killpg(building.pid, signal.SIGKILL if again else signal.SIGINT)
    began = time.monotonic()
    told = building.communicate(timeout=30)[1]
    if not again:
        assert building.returncode == 130, told
        assert "Traceback" not in told
        assert time.monotonic() - began < 5
    short = [word for word in command if word not in {"--shards", str(K)}]
    done = subprocess.run(short, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"going on with {K} shards" in done.stderr
    assert files_of(target / f"pi-{N}" / "shards") == files_of(sharded / f"pi-{N}" / "shards")
    assert not work.exists()
