"""Where the files of data/ are, in a checkout and in an installed package."""

from pathlib import Path


def data_file(name: str) -> Path:
    """Path of a file of data/; `name` is ours, never a user's."""
    installed = Path(__file__).parent / "data"
    return (installed if installed.is_dir() else Path(__file__).parent.parent / "data") / name
