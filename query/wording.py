"""Numbers and sentences about an answer, worded once for the terminal, the sheet and the plot.

A logo's name comes from outside (a file name, a line of standard input): `clean_name` takes out
whatever could steer a terminal.
"""

import math
import unicodedata
from pathlib import PurePath

from indexer.constants import CONSTANTS
from indexer.window import WINDOW, count_windows
from query.answer import Answer

# A cost has at most so many decimal places (query/metrics.py), and so has a distance.
COST_PLACES = 6
BLANK = "a blank picture"
_LITERAL = f"{WINDOW} digits"
# Gaps that a headline names.
_MOST_GAPS = 3
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def symbol_of(constant: str) -> str:
    """How a constant is written in a sentence: "π" for "pi"; an unknown name as it is."""
    known = CONSTANTS.get(constant)
    return known.title if known else clean_name(constant)


def clean_name(name: str) -> str:
    """The name with every control, format, surrogate or line-ending character as "?".

    These are the characters that move a cursor, colour a terminal, turn the direction of the text
    or cannot be encoded.
    """
    unsafe = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
    return "".join("?" if unicodedata.category(c) in unsafe else c for c in name)


def title_of(logo: str) -> str:
    """What to call a logo in a heading: a file's name without folder and ending."""
    name = name_of(logo)
    if name == _LITERAL:
        return f"a picture of {name}"
    return PurePath(name).stem.strip() or name or "a picture"


def name_of(logo: str) -> str:
    """What to call a logo on a picture that is passed on: a file's name without its folder.

    Digits given literally are "84 digits", line 3 of standard input ("-:3") is "line 3".
    """
    digits = "".join(logo[: 8 * WINDOW].split())
    if len(digits) == WINDOW and digits.isdecimal():
        return _LITERAL
    line = logo.removeprefix("-:")
    if line != logo and line.isdecimal():
        return f"line {line}"
    name = PurePath(logo).name[:1000]
    return clean_name(name or logo[:1000]).strip()


def columns_of(text: str) -> int:
    """Terminal columns the text takes: two for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, columns: int) -> str:
    """The text, or its beginning with "…", in at most so many terminal columns."""
    if columns_of(text) <= columns:
        return text
    text = text[: 4 * max(columns, 0)]  # what follows is O(n²) and a name may be long
    while text and columns_of(text) > columns - 1:
        text = text[:-1]
    return text + "…" if columns > 0 else ""


def plain_number(value: float) -> int | float:
    """An int where the value is one, for JSON and CSV."""
    return int(value) if float(value).is_integer() else float(value)


def short_number(value: float, figures: int = 4) -> int | float:
    """The value to so many significant figures, an int where that is one."""
    return plain_number(float(f"{value:.{figures}g}"))


def format_distance(distance: float) -> str:
    """A distance for people, to its last digit: "180", "144,772.5", "-12.5"."""
    number = plain_number(round(distance, COST_PLACES))
    if isinstance(number, int):
        return f"{number:,d}"
    return f"{number:,.{COST_PLACES}f}".rstrip("0")


def format_expected(expected: float) -> str:
    """An E-value to two figures for people: "1.2e-05", "0.064", "3.4", "21", "1,234"."""
    if expected >= 999_999.5:
        return f"{expected:.1e}"
    if expected >= 99.5:  # .2g would say 1e+02
        return f"{expected:,.0f}"
    return f"{expected:.2g}"


def format_seconds(seconds: float) -> str:
    """A duration for people: "4 ms", "1.3 s", "2 min 5 s"."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0095 else f"{seconds * 1000:.1f} ms"
    if seconds < 119.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def format_power(exponent: float, *, unicode: bool = True) -> str:
    """Ten to the power of exponent to two figures: "10⁸⁴", "6.3 × 10⁶⁹"; else "6.3e+69"."""
    whole = math.floor(exponent)
    mantissa = f"{10 ** (exponent - whole):.1f}"
    if mantissa == "10.0":
        mantissa, whole = "1.0", whole + 1
    if not unicode:
        return f"{mantissa}e{whole:+d}"
    power = "10" + str(whole).translate(_SUPERSCRIPTS)
    return power if mantissa == "1.0" else f"{mantissa} × {power}"


def is_blank(bitmap: str) -> bool:
    """Whether the 84 digits are an all-white picture: no ink was found, or none was there."""
    return not bitmap.strip("0")


def how_many(answer: Answer) -> str:
    """What the matches are out of: "the 10 closest of 999,999,917 windows"."""
    n_windows = count_windows(answer.digits)
    windows = f"{n_windows:,d} window{'' if n_windows == 1 else 's'}"
    count = len(answer.matches)
    if n_windows == count == 1:
        return "the only window"
    if count == 0:
        return f"no match among {windows}"
    return f"the {count} closest of {windows}" if count > 1 else f"the closest of {windows}"


def where_from(answer: Answer, constant: str = "") -> str:
    """What was searched: "the first 1,000,000,000 decimals of π", by its symbol or as told."""
    constant = constant or symbol_of(answer.constant)
    if answer.first_offset == 1:
        return f"the first {answer.digits:,d} decimals of {constant}"
    last = answer.first_offset + answer.digits - 1
    return f"the decimals {answer.first_offset:,d} to {last:,d} of {constant}"


def how_got(answer: Answer) -> str:
    """How the answer was got, and what it may lack."""
    if answer.certified:
        compared = "compared" if answer.mode == "scan" else "accounted for"
        return f"certified: every window was {compared}"
    if answer.uncovered:
        return f"{_where_not(answer)}; {_how_got(answer)}"
    return _how_got(answer)


def _where_not(answer: Answer) -> str:
    """What the answer says nothing of."""
    shown = [f"{first:,d} to {last:,d}" for first, last in answer.uncovered[:_MOST_GAPS]]
    more = ", …" if len(answer.uncovered) > _MOST_GAPS else ""
    return f"NOT covered: offsets {', '.join(shown)}{more}"


def _how_got(answer: Answer) -> str:
    count = len(answer.matches)
    many = "ten" if count == 10 else str(count)
    source = "a scan" if answer.mode == "scan" else f"the {answer.mode}"
    missed = format_expected(answer.expected_missed)
    return f"from {source}: expected to lack {missed} of the {many}"
