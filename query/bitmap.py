"""From a logo, in whatever form it was given, to a bitmap: uint8[6, 14], 0 = white … 9 = black.

A file is known by what is in it, not by its name: query/picture.py reads pictures, query/svg.py
draws SVG, query/shrink.py makes 6×14 digits of them.
"""

import codecs
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.errors import LogoError, UsageError
from indexer.window import HEIGHT, SHADES, WIDTH, WINDOW
from query.picture import format_of, grey_plane, is_lossy, read_plane
from query.shrink import FITS, digits_of_plane
from query.svg import MAX_SVG_BYTES, draw_svg

MAX_BYTES = 64_000_000
READABLE = "PNG, JPEG, GIF, BMP, WebP, TIFF, SVG"

Bitmap = npt.NDArray[np.uint8]


def read_logo(
    logo: str | Path, *, fit: str = "pad", invert: bool = False, trim: bool = True
) -> Bitmap:
    """The bitmap of an image file, of a text file of 84 digits, or of 84 digits given literally.

    An existing path wins over literal digits; a Path is never taken for digits. `fit`, `trim` and
    `invert` are those of bitmap_from_image; digits can only be inverted.

    Raises LogoError where the file cannot be read, is damaged, is larger than allowed (64 MB; SVG
    2 MB; pixels: query/picture.py) or holds anything else; UsageError for an unknown fit.
    """
    _check_fit(fit)
    name = shown(logo)
    file = _open_file(logo, name)
    if file is None:
        return _inverted(_literal_digits(logo, name), invert)
    with file:
        return _inverted(_read_stream(file, name, fit, trim=trim), invert)


def logo_from_bytes(
    content: bytes, name: str, *, fit: str = "pad", invert: bool = False, trim: bool = True
) -> Bitmap:
    """The bitmap of what a file has in it: as read_logo does; name is what messages call it."""
    _check_fit(fit)
    if len(content) > MAX_BYTES:
        raise LogoError(f"{name} is {len(content):,} bytes; {MAX_BYTES:,} are allowed")
    if not content:
        raise LogoError(f"{name} is empty; a logo is a picture ({READABLE}) or {WINDOW} digits")
    return _inverted(_read_stream(io.BytesIO(content), shown(name), fit, trim=trim), invert)


def _read_stream(file: BinaryIO, name: str, fit: str, *, trim: bool) -> Bitmap:
    head = file.read(4096)
    file.seek(0)
    kind = format_of(head)
    if kind is not None:
        plane = read_plane(file, kind, name)
    else:
        text = _read_text(file, head, name)
        if not text.lstrip().startswith("<"):
            return _file_digits(text, name)
        plane = read_plane(io.BytesIO(draw_svg(text, name)), "PNG", name)
    return digits_of_plane(plane, fit, trim, lossy=is_lossy(head))


def bitmap_from_image(
    image: Image.Image, *, fit: str = "pad", invert: bool = False, trim: bool = True
) -> Bitmap:
    """The bitmap of a Pillow picture; the picture is left as it is. O(pixels).

    1. Turned as EXIF says, laid on white (on black where nothing would show on white), made grey by
       lightness: query/picture.py, grey_plane.
    2. `trim`: a border of one grey is cut off; a picture of one grey stays whole. A picture that
       was opened from JPEG or WebP has noise around its ink, which is cut off as well.
    3. `fit`: "pad" keeps the picture whole, centred, the border's grey (white without a border)
       around it; "crop" fills 14×6 and cuts what stands over; "stretch" gives up its shape.
    4. Each of the 84 pixels is the mean of its area, then the nearest shade of the palette, of two
       equally near the lighter. The means are of sRGB values, not of linear light: the contest's
       own picture was scaled by ordinary image tools, which average so, and a logo scaled
       beforehand by any of them then gives the same digits.

    A picture of 14k×6k pixels made of k×k blocks of one grey each is a bitmap drawn large: its
    blocks are taken as they are, whatever `trim` and `fit` say.
    `invert` makes d into 9 - d, last of all.

    Raises LogoError for a pixel mode that is not read, UsageError for an unknown fit.
    """
    _check_fit(fit)
    lossy = image.format in ("JPEG", "WEBP")  # Pillow does not tell a lossless WebP apart
    return _inverted(digits_of_plane(grey_plane(image), fit, trim, lossy=lossy), invert)


def parse_digits(text: str) -> Bitmap:
    """The bitmap written as 84 digits, blanks and line breaks anywhere. O(characters).

    Raises LogoError with the number of digits found and the first character that is none.
    """
    digits = bytearray()
    for position, character in enumerate(text, 1):
        if "0" <= character <= "9":
            digits.append(ord(character) - ord("0"))
        elif not character.isspace():
            raise LogoError(
                f"found {character!r} at character {position}, after {len(digits)} digits; "
                f"{WINDOW} digits 0-9 are needed and nothing else"
            )
    if len(digits) != WINDOW:
        raise LogoError(
            f"found {len(digits)} digits; {WINDOW} are needed, {HEIGHT} rows of {WIDTH}"
        )
    return np.frombuffer(bytes(digits), np.uint8).reshape(HEIGHT, WIDTH).copy()


def format_digits(bitmap: Bitmap) -> str:
    """The 84 digits of a bitmap, row by row from the top left; LogoError as check_bitmap."""
    return "".join(str(digit) for digit in check_bitmap(bitmap).ravel().tolist())


def check_bitmap(bitmap: npt.ArrayLike) -> Bitmap:
    """The bitmap as C-contiguous uint8[6, 14]; any integer dtype and memory order is taken.

    Raises LogoError, with what was found and what is allowed, for another shape, for numbers that
    are not integers, and for a digit outside 0 to 9.
    """
    allowed = f"a bitmap is {HEIGHT} rows of {WIDTH} integers 0 to {SHADES - 1}"
    try:
        array = np.asarray(bitmap)
    except (ValueError, TypeError) as error:
        raise LogoError(f"the bitmap is no array, its rows differ in length; {allowed}") from error
    if array.shape != (HEIGHT, WIDTH):
        raise LogoError(f"the bitmap has shape {array.shape}; {allowed}, shape {HEIGHT, WIDTH}")
    if array.dtype.kind not in "iu":
        raise LogoError(f"the bitmap has dtype {array.dtype}; {allowed}, dtype uint8")
    wrong = np.argwhere((array < 0) | (array >= SHADES))
    if wrong.size:
        row, column = wrong[0].tolist()
        raise LogoError(
            f"the bitmap has {array[row, column]} in row {row}, column {column}; {allowed}"
        )
    return np.ascontiguousarray(array, np.uint8)


def picture_kind(head: bytes) -> str | None:
    """Which picture a file or stream with these first bytes is, a first line is enough.

    "PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "SVG", "gzip" (an .svgz, say), or None for text.
    """
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<"):
        return "SVG"
    kind = format_of(head)
    if kind == "BMP" and head.rstrip(b"\r\n").isascii() and b"\0" not in head:
        return None  # two letters are a picture only before bytes that no text has
    return "WebP" if kind == "WEBP" else kind


def shown(logo: str | Path) -> str:
    """A name fit for one line of a message: printable, at most 100 characters."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(logo)[:400]) or "''"
    return text if len(text) <= 100 and len(str(logo)) <= 400 else f"{text[:60]}…{text[-39:]}"


def _check_fit(fit: str) -> None:
    if fit not in FITS:
        raise UsageError(f"fit is {fit!r}; choose one of {', '.join(FITS)}")


def _inverted(bitmap: Bitmap, invert: bool) -> Bitmap:
    return (SHADES - 1 - bitmap).astype(np.uint8) if invert else bitmap


def _open_file(logo: str | Path, name: str) -> BinaryIO | None:
    """The open file, None where there is none; LogoError where it is none that can be read."""
    try:
        _check_status(os.stat(logo), name)  # noqa: PTH116  a name with NUL must raise, see below
        # Not blocking: what was a file a moment ago may be a pipe by now.
        descriptor = os.open(logo, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        file = open(descriptor, "rb")  # noqa: PTH123, SIM115  the caller closes it
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if isinstance(logo, str) and len(logo) >= WINDOW and _is_digits(logo):
            return None  # too long for a file name is what spaced-out digits are
        raise LogoError(
            f"{name} cannot be read ({error.strerror}); name a readable file"
        ) from error
    try:
        _check_status(os.fstat(descriptor), name)
    except LogoError:
        file.close()
        raise
    return file


def _check_status(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        raise LogoError(f"{name} is {what}; a logo is an ordinary file ({READABLE}, or digits)")
    if status.st_size > MAX_BYTES:
        raise LogoError(
            f"{name} is {status.st_size:,} bytes; {MAX_BYTES:,} are allowed; make it smaller"
        )
    if status.st_size == 0:
        raise LogoError(f"{name} is empty; a logo is a picture ({READABLE}) or {WINDOW} digits")


def _is_digits(text: str) -> bool:
    return all(c.isspace() or "0" <= c <= "9" for c in text)


def _is_nearly_digits(text: str) -> bool:
    """Whether digits were meant: nothing but digits, or half a bitmap with some slips in it.

    Names of files have digits too, `IMG20240101120000.png` has 14.
    """
    n_digits = sum("0" <= c <= "9" for c in text)
    return _is_digits(text) or (2 * n_digits >= WINDOW and 4 * n_digits >= 3 * len(text))


def _literal_digits(logo: str | Path, name: str) -> Bitmap:
    """The bitmap of digits given literally; LogoError says what else was tried, or first tried."""
    if isinstance(logo, Path):
        raise LogoError(f"{name} does not exist; name a picture ({READABLE}) or a file of digits")
    try:
        return parse_digits(logo)
    except LogoError as error:
        if not _is_nearly_digits(logo):
            raise LogoError(
                f"{name}: there is no such file, and it is not {WINDOW} digits either"
            ) from None
        raise LogoError(
            f"{name} is neither a file that exists nor {WINDOW} digits: {error}"
        ) from error


def _file_digits(text: str, name: str) -> Bitmap:
    """The bitmap of a text file; LogoError says that it is no picture either."""
    try:
        return parse_digits(text)
    except LogoError as error:
        raise LogoError(
            f"{name} is neither a picture ({READABLE}) nor a text of {WINDOW} digits: {error}"
        ) from error


def _read_text(file: BinaryIO, head: bytes, name: str) -> str:
    """The text of a file that is no bitmap picture: UTF-8, or UTF-16 with its mark."""
    if head.startswith(b"\x1f\x8b"):
        raise LogoError(f"{name} is compressed (gzip, .svgz); unpack it first: gunzip")
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    data = file.read(MAX_SVG_BYTES + 1)
    if len(data) > MAX_SVG_BYTES:
        raise LogoError(
            f"{name} is more than {MAX_SVG_BYTES:,} bytes and no {READABLE}; "
            f"an SVG or a text of digits may have {MAX_SVG_BYTES:,}"
        )
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise LogoError(
            f"{name} is neither a picture ({READABLE}) nor text: "
            f"byte {error.start + 1} is 0x{data[error.start]:02x}"
        ) from error
