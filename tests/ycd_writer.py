"""Sets of .ycd files as y-cruncher writes them, out of any decimals; for tests alone.

10^9 decimals take about 10 s and little memory, so a memory map of a store will do.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST_DIGITS = "3.14159265358979323846264338327950288419716939937510"
NAME = "Pi - Dec - Chudnovsky"
PAGE = 4096
_ROWS = 1 << 15


def header(
    *,
    version: object = "1.1.0",
    base: object = 10,
    first: object = FIRST_DIGITS,
    total: object = 0,
    block: object,
    block_id: object = 0,
) -> bytes:
    """The bytes before the first word."""
    return (
        "#Compressed Digit File\r\n\r\n"
        f"FileVersion:\t{version}\r\n\r\nBase:\t{base}\r\n\r\nFirstDigits:\t{first}\r\n\r\n"
        f"TotalDigits:\t{total}\r\n\r\nBlocksize:\t{block}\r\nBlockID:\t{block_id}\r\n\r\n"
        "EndHeader\r\n\r\n\0"
    ).encode()


def words_of(digits: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The words of ASCII digits; the last is filled up with zeros."""
    padded = np.pad(digits, (0, -len(digits) % 19), constant_values=ord("0")).reshape(-1, 19)
    words = np.zeros(len(padded), "<u8")
    for column in range(19):
        words *= np.uint64(10)
        words += padded[:, column] & np.uint8(15)
    return words


def write_ycd(
    folder: Path,
    digits: bytes | NDArray[np.uint8],
    *,
    block: int | None = None,
    version: str = "1.1.0",
    first: str = FIRST_DIGITS,
    pad: bool = True,
    first_block: int = 0,
    total: int | None = None,
    in_last_only: bool = False,
) -> list[Path]:
    """Files of `block` decimals each, or one of all, the paths in order.

    total is TotalDigits, where None is where the decimals end. in_last_only: as older writers do,
    0 in all files but the last, and in that too if it is full; the numbers padded with zeros.
    """
    array = np.frombuffer(digits, np.uint8) if isinstance(digits, bytes) else digits
    size = block or len(array)
    end = first_block * size + len(array)
    paths = []
    for begin in range(0, len(array), size):
        piece = array[begin : begin + size]
        block_id = first_block + begin // size
        recorded: object = end if total is None else total
        if in_last_only:
            recorded = f"{0 if len(piece) == size else end:020}"
        path = folder / (f"{NAME} - {block_id}.ycd" if block else f"{NAME}.ycd")
        with path.open("wb") as file:
            text = header(
                version=version, first=first, total=recorded, block=size, block_id=block_id
            )
            file.write(text)
            for row in range(0, len(piece), 19 * _ROWS):
                file.write(words_of(piece[row : row + 19 * _ROWS]).tobytes())
            if pad:
                file.write(bytes(-file.tell() % PAGE))
        paths.append(path)
    return paths
