"""A process of its own: an SVG document on standard input, its PNG on standard output.

Run as a file by query/svg.py, never imported: it needs resvg and nothing of ours.
"""

import contextlib
import sys

import resvg_py

# 14×80 wide, so that a drawing on a 14×6 grid has whole pixels; the lesser side follows.
_SIDE = 1120
_MEMORY_BYTES = 512 << 20
_CPU_SECONDS = 5


def _confine() -> None:
    """From here on no file and no socket opens, and memory and time are bounded."""
    try:
        import resource  # noqa: PLC0415  not on Windows, where the parent's clock is all there is
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, _MEMORY_BYTES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def main() -> int:
    """Draw; the reason on standard error and 1 where it cannot be drawn."""
    text = sys.stdin.buffer.read().decode()
    _confine()
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=text, width=_SIDE, height=_SIDE, skip_system_fonts=True
        )
    except ValueError as error:
        sys.stderr.write(" ".join(str(error).split()))
        return 1
    sys.stdout.buffer.write(bytes(png))
    return 0


if __name__ == "__main__":
    sys.exit(main())
