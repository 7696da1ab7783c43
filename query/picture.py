"""A picture as a plane of greys: uint8[height, width], 0 black … 255 white, upright.

The decoders see only the formats of SIGNATURES, after what they are asked for was checked: here the
size, in query/picture_limits.py the number of parts.
"""

import contextlib
import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from indexer.errors import LogoError
from query.picture_limits import check_directory, check_parts, counted
from query.shrink import BORDER_TOLERANCE, Plane

# First bytes and Pillow's name; WebP's name stands after a length of four bytes.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WEBP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)

# Pillow holds 4 bytes a pixel: 40 million took 245 MB and 1.3 s with the plane and the program.
# TIFF in one strip needs a copy more (313 MB at 40 million), WebP's own library two more.
MAX_PIXELS = 40_000_000
_FEWER_PIXELS = {"TIFF": 30_000_000, "WEBP": 12_000_000}
MAX_SIDE = 65_535
# Pillow reads run-length BMP in a Python loop, about 0.3 µs a run of two bytes.
MAX_RLE_BYTES = 4_000_000
# Colour profiles take about 0.1 µs a pixel and large JPEGs 4 bytes a pixel: both are shrunk first.
_LARGE_PIXELS = 4_000_000
# Their arrays stay on the heap: strips of 512 K pixels were mapped anew each, 2.7 s and not 1.1 s.
_STRIP_PIXELS = 1 << 15
_ORIENTATION = 0x0112
# Pillow shows a chunk as Python does: "broken PNG file (chunk b'IDAT')".
_BYTES_SHOWN = re.compile(r"""(?:chunk )?\bb(?:'[^']*'|"[^"]*")""")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _EXIF, _GPS, _INTEROP = 258, 262, 34665, 34853, 40965
# A camera writes at most 64 kB; Pillow makes objects of the numbers in it, up to 0.2 s a megabyte.
MAX_EXIF = 1_000_000
# Pillow keeps a PNG's texts and allows 64 million characters, of 4 bytes each: 471 MB in all.
MAX_TEXT = 8_000_000

# Warning filters and Pillow's limits are the process's, so is the memory: one picture at a time.
_ONE_AT_A_TIME = threading.Lock()


def format_of(head: bytes) -> str | None:
    """Pillow's name of the format that a file with these first bytes (12 or more) has, or None."""
    for signature, kind in SIGNATURES:
        if head.startswith(signature) and (kind != "WEBP" or head[8:12] == b"WEBP"):
            return kind
    return None


def is_lossy(head: bytes) -> bool:
    """Whether a file that begins so (some kilobytes) leaves noise around ink: JPEG, lossy WebP.

    A WebP with metadata has its pixels' chunk further on: VP8L is lossless.
    """
    kind = format_of(head)
    return kind == "JPEG" or (kind == "WEBP" and b"VP8L" not in head)


def read_plane(file: BinaryIO, kind: str, name: str) -> Plane:
    """The plane of the first picture in an open file of format `kind`, at position 0.

    Raises LogoError, with `name` in front, where it is too large, damaged or of an odd kind.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(), _quiet(kind), _few_texts():
        warnings.simplefilter("ignore")  # odd metadata does not change a pixel
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _decode(file, kind, name)
        except LogoError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise LogoError(
                f"{name} is a {kind} of far more than the {MAX_PIXELS:,} pixels allowed; "
                "make it smaller"
            ) from error
        except MemoryError as error:
            raise LogoError(f"{name} needs more memory than there is; make it smaller") from error
        except Exception as error:  # a decoder given hostile bytes raises anything
            raise LogoError(
                f"{name} is a damaged {kind} or one of a kind not read here ({_reason(error)}); "
                "save it again as an ordinary 8-bit PNG"
            ) from error


def _reason(error: Exception) -> str:
    """What a decoder says, in one line and without Python's way to write bytes and objects."""
    if isinstance(error, UnidentifiedImageError):
        return "no picture follows its first bytes"  # Pillow names the open file's object
    text = _BYTES_SHOWN.sub("a PNG chunk", " ".join(str(error).split()))
    return text[:120] or type(error).__name__


@contextlib.contextmanager
def _quiet(kind: str) -> Iterator[None]:
    """Keep libtiff from writing its own lines about a damaged file on standard error.

    It writes from C and offers Pillow's users no switch, so the descriptor itself points elsewhere
    for as long as a TIFF is decoded; what another thread writes there meanwhile is lost.
    """
    if kind != "TIFF":
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # closed: nobody reads it
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _few_texts() -> Iterator[None]:
    """Let Pillow keep less of a PNG's texts: it has no other switch."""
    kept = PngImagePlugin.MAX_TEXT_MEMORY
    PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT
    try:
        yield
    finally:
        PngImagePlugin.MAX_TEXT_MEMORY = kept


def _decode(file: BinaryIO, kind: str, name: str) -> Plane:
    """The plane; whatever Pillow raises is left to the caller."""
    check_parts(file, kind, name)
    with Image.open(_limited(file, kind, name), formats=[kind]) as image:
        _check_bounds(image, file, kind, name)
        if kind == "PNG":
            image.verify()  # loading alone skips the checksums of the pixel data
    file.seek(0)
    with Image.open(_limited(file, kind, name), formats=[kind]) as image:
        if kind == "JPEG" and image.width * image.height > _LARGE_PIXELS:
            image.draft(None, (1400, 600))  # the decoder averages 2, 4 or 8 pixels itself
        try:
            return grey_plane(image)
        except LogoError as error:
            raise LogoError(f"{name} is {error}") from error


def _limited(file: BinaryIO, kind: str, name: str) -> BinaryIO:
    """What Pillow reads from; a run-length BMP takes a call for each byte and has its own limit."""
    return file if kind == "BMP" else counted(file, name)


def _check_bounds(image: Image.Image, file: BinaryIO, kind: str, name: str) -> None:
    """Raise LogoError where the header promises more than is decoded here."""
    width, height = image.size
    allowed = _FEWER_PIXELS.get(kind, MAX_PIXELS)
    if width * height > allowed or max(width, height) > MAX_SIDE:
        raise LogoError(
            f"{name} is {width}x{height} pixels; a {kind} may have {allowed:,} in all and "
            f"{MAX_SIDE:,} a side; make it smaller"
        )
    tiles = getattr(image, "tile", None)
    if kind == "BMP" and tiles and tiles[0][0] == "bmp_rle":
        length = file.seek(0, io.SEEK_END)
        if length > MAX_RLE_BYTES:
            raise LogoError(
                f"{name} is a run-length BMP of {length:,} bytes; {MAX_RLE_BYTES:,} are allowed; "
                "save it as PNG"
            )
    if kind == "TIFF":
        _check_nested(image, file, name)


def _check_nested(image: Image.Image, file: BinaryIO, name: str) -> None:
    """Raise LogoError for EXIF in a TIFF with too many values: Pillow reads all of it, unasked."""
    order = "<" if image.tag_v2.prefix == b"II" else ">"  # type: ignore[attr-defined]
    for tag in (_EXIF, _GPS):
        at = _tiff_tag(image, tag)
        if isinstance(at, int):
            check_directory(file, at, order, name)
    if _tiff_tag(image, _INTEROP) is not None:
        at = image.getexif().get_ifd(_EXIF).get(_INTEROP)
        if isinstance(at, int):
            check_directory(file, at, order, name)


def grey_plane(image: Image.Image) -> Plane:
    """The plane of a Pillow picture: EXIF orientation applied, transparency on white.

    Where nothing would show on white (white logos are common), what is transparent is black.
    A colour becomes the grey that looks as light: the linear-light luminance of sRGB (Rec. 709
    weights), encoded as sRGB again; so a grey stays what it is. Numbers are taken as sRGB; only
    CMYK is read through its colour profile, where it has one. O(pixels).

    Raises LogoError for pixel modes that have no such reading.
    """
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        return _upright(_deep_plane(image), image)
    plane = _flat_plane(image, 255)
    if image.has_transparency_data and plane.min() >= 255 - BORDER_TOLERANCE:
        del plane  # 40 MB of the largest pictures: not twice
        plane = _flat_plane(image, 0)
        if plane.max() - plane.min() <= BORDER_TOLERANCE:
            plane[:] = 255
    return _upright(plane, image)


def _flat_plane(image: Image.Image, paper: int) -> Plane:
    """The plane of a picture of 8 bits a channel or less, laid on the grey `paper`."""
    to_rgb = _rgb_reader(image)
    if image.mode == "CMYK" and image.width * image.height > _LARGE_PIXELS:
        image = image.reduce(4)
    plane: Plane = np.empty((image.height, image.width), np.uint8)
    for top, strip in _strips(image):
        if image.has_transparency_data:
            greys = _on_paper(strip, paper)
        elif strip.mode in ("1", "L"):
            greys = np.asarray(strip.convert("L"))
        else:
            greys = _grey_of_rgb(np.asarray(to_rgb(strip)))
        plane[top : top + strip.height] = greys
    return plane


def _on_paper(strip: Image.Image, paper: int) -> Plane:
    """The greys of a strip with transparency, laid on the grey `paper`."""
    if strip.mode in ("LA", "La"):  # all grey: 40 million pixels in 0.1 s, as RGB in 0.3 s
        drawn = strip.convert("LA")
        on_paper = Image.new("L", strip.size, paper)
        on_paper.paste(drawn.getchannel("L"), mask=drawn.getchannel("A"))
        return np.asarray(on_paper)
    drawn = strip.convert("RGBA")
    on_paper = Image.new("RGB", strip.size, (paper, paper, paper))
    on_paper.paste(drawn, mask=drawn.getchannel("A"))
    return _grey_of_rgb(np.asarray(on_paper))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in strips of whole rows, so that no step needs memory for all of it at once."""
    step = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, step):
        yield top, image.crop((0, top, image.width, min(top + step, image.height)))


def _rgb_reader(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns a strip of this picture into RGB."""
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        if image.mode not in ("CMYK", "YCbCr", "HSV"):
            raise LogoError(
                f"a picture of pixel mode {image.mode}; grey, RGB, palette and CMYK are read"
            )
        profile = image.info.get("icc_profile")
        if image.mode == "CMYK" and profile:
            try:
                transform = ImageCms.buildTransform(
                    ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                    ImageCms.createProfile("sRGB"),
                    "CMYK",
                    "RGB",
                )
            except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
                pass  # a broken profile: the inks as they are, like a picture without one
            else:
                return lambda strip: ImageCms.applyTransform(strip, transform) or strip
    return lambda strip: strip.convert("RGB")


def _luminance_tables() -> tuple[npt.NDArray[np.uint32], Plane]:
    """uint32[3, 256]: each channel's share of the luminance, white 65535; and the way back.

    One level of grey is at least 20 units, three roundings lose 1.5: a grey comes back itself.
    """
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    shares = np.round(np.outer((0.2126, 0.7152, 0.0722), linear) * 65535).astype(np.uint32)
    light = np.minimum(np.arange(65538) / 65535, 1.0)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return shares, np.round(encoded * 255).astype(np.uint8)


_SHARES, _GREY_OF_LIGHT = _luminance_tables()


def _grey_of_rgb(rgb: npt.NDArray[np.uint8]) -> Plane:
    """uint8[h, w]: the grey as light as each colour of uint8[h, w, 3]."""
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        return rgb[..., 0]  # a grey is itself: 25 ms for 40 million pixels, not 140
    red, green, blue = (_SHARES[i].take(rgb[..., i]) for i in range(3))
    greys: Plane = _GREY_OF_LIGHT.take(red + green + blue)
    return greys


def _deep_plane(image: Image.Image) -> Plane:
    """The plane of a grey picture of 16 or 32 bits a pixel, integer or float."""
    white = _white_of(image)
    flipped = image.format == "TIFF" and _tiff_tag(image, _PHOTOMETRIC) == 0
    clear = image.info.get("transparency")
    plane: Plane = np.empty((image.height, image.width), np.uint8)
    for top, strip in _strips(image):
        values = np.asarray(strip)
        greys = np.round(np.clip(values / white, 0.0, 1.0) * 255).astype(np.uint8)
        if flipped:
            greys = 255 - greys
        if isinstance(clear, int):
            greys[values == clear] = 255
        plane[top : top + strip.height] = greys
    return plane


def _white_of(image: Image.Image) -> float:
    """The value that is white in a deep picture.

    65535 for 16 bits (4095 where a TIFF says 12). For 32-bit integers and floats no file says it:
    the smallest of 1 (floats), 255, 65535, 2³¹ - 1 that no pixel exceeds.
    """
    if image.mode.startswith("I;16"):
        return 4095.0 if _tiff_tag(image, _BITS_PER_SAMPLE) == 12 else 65535.0
    if image.mode == "I" and image.format == "PNG":
        return 65535.0
    largest = 0.0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise LogoError("a picture with a pixel that is no finite number; 0 to 1 is read")
        largest = max(largest, float(values.max()))
    scales = (1.0, 255.0, 65535.0, 2.0**31 - 1)
    for white in scales[image.mode != "F" :]:
        if largest <= white:
            return white
    raise LogoError(f"a picture with a pixel of {largest:g}; at most {scales[-1]:g} is read")


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    """The first value of a TIFF tag, None where there is none."""
    value = getattr(image, "tag_v2", {}).get(tag)
    return value[0] if isinstance(value, tuple) else value


def _upright(plane: Plane, image: Image.Image) -> Plane:
    """The plane turned as the picture's EXIF orientation (1 to 8) says, without a copy."""
    for key in ("exif", "Raw profile type exif"):
        if len(image.info.get(key, b"")) > MAX_EXIF:
            raise LogoError(
                f"a picture with {len(image.info[key]):,} bytes of EXIF; {MAX_EXIF:,} are allowed"
            )
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  broken metadata raises anything; the pixels are sound
        return plane
    if orientation in (5, 6, 7, 8):
        plane = plane.T
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return plane
