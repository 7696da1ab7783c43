"""The geometry of a picture in π, and the two ways to number a place.

A bitmap has 6 rows of 14 pixels; read row by row from the top left it is a window of 84 decimals.
A user counts from 1 (offset 1 is the first 1 of 3.14159), code counts from 0 (start).
"""

HEIGHT = 6
WIDTH = 14
WINDOW = HEIGHT * WIDTH
SHADES = 10


def start_of(offset: int) -> int:
    """0-based start of the window at a 1-based offset."""
    return offset - 1


def offset_of(start: int) -> int:
    """1-based offset of the window at a 0-based start."""
    return start + 1


def count_windows(n_digits: int) -> int:
    """Windows in n_digits decimals: n - 83, or 0 where there are fewer than 84."""
    return max(0, n_digits - WINDOW + 1)
