"""A real Chromium on a real server over the default store, for the tests of the page."""

import pytest

import served


@pytest.fixture(scope="module")
def browser():
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(indexed_home):
    with served.serving(indexed_home) as (address, _):
        yield address


@pytest.fixture
def faults():
    from browser import Faults

    faults = Faults()
    yield faults
    assert faults.unexpected() == []


@pytest.fixture
def visit(browser, address, faults):
    """visit(path, address, …) opens a page in a context of its own."""
    from browser import expect

    contexts = []

    def visit(path="", address=address, **options):
        contexts.append(browser.new_context(reduced_motion="reduce", **options))
        faults.watch(contexts[-1], address)
        page = contexts[-1].new_page()
        page.goto(f"{address}/{path}")
        expect(page.get_by_role("gridcell")).to_have_count(84)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit):
    return visit(viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def bitmap(contest):
    return contest["bitmap"]


@pytest.fixture
def slow(indexed_home, tmp_path, monkeypatch):
    """(address, opener) of a server whose index answers, and whose scan waits for the opener."""
    from browser import write_slow_program

    opener = tmp_path / "opener"
    program = write_slow_program(tmp_path / "pilogo", opener)
    monkeypatch.setattr(served, "PROGRAM", program)
    with served.serving(indexed_home) as (address, _):
        yield address, opener
