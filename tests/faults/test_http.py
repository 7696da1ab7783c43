"""The API by its own document: schemathesis makes requests of it, valid and not."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.compute import compute_digits
from served import serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Any bytes are a valid body to the document, and few of them are a picture.
PICTURES = "/api/v1/bitmap"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    home = tmp_path_factory.mktemp("web")
    compute_digits(home, 100_000)
    with serving(home) as (address, process):
        yield address
        assert process.poll() is None


@pytest.mark.parametrize(
    "selected",
    [["--exclude-path", PICTURES], ["--include-path", PICTURES,
     "--exclude-checks", "positive_data_acceptance"]],
    ids=["all but pictures", "pictures"],
)  # fmt: skip
def test_every_reply_is_what_the_document_says(address, selected, full, tally):
    row = tally(18)
    examples = "1400" if full else "6"
    checks = ["--checks", "all"] if "--exclude-checks" not in selected else []
    done = subprocess.run(
        [SCHEMATHESIS, "run", f"{address}/api/v1/openapi.json", "--seed", "1", "--no-color",
         "--max-examples", examples, "--phases", "coverage,fuzzing", *checks, *selected],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    generated = re.search(r"(\d+) generated", done.stdout)
    with row.case("the run"):
        assert generated, done.stdout[-3000:]
        assert done.returncode == 0, done.stdout[-3000:]
        row.tried += int(generated[1]) - 1
        assert row.tried > (1000 if full else 30)
