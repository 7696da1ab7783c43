"""Drawings that ask for files and the network, and drawings that ask for very much."""

import base64
from collections.abc import Callable
from pathlib import Path

from hostile_pictures import png_of_900_million_pixels
from test_svg import LEFT, REFUSED, SLOW, doubled_use, drawing

BAIT = "secret.png"


def laughs(levels: int) -> str:
    """Entities of entities: 10 to the power of the levels."""
    entities = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels)
    )
    return f'<!DOCTYPE svg [<!ENTITY e0 "ha">{entities}]>' + drawing(f"<g>&e{levels - 1};</g>")


def embedded(picture: bytes) -> str:
    """A picture inside a drawing."""
    data = base64.b64encode(picture).decode()
    return drawing(f'<image href="data:image/png;base64,{data}" width="28" height="12"/>')


def filtered(effect: str) -> str:
    """A square under one effect."""
    return drawing(f'<filter id="f">{effect}</filter><rect filter="url(#f)" width="9" height="9"/>')


def bait(text: str) -> Callable[[Path], str]:
    """A document about the file that must not be opened: {path} is where it is."""
    return lambda folder: text.replace("{path}", str(folder / BAIT))


# Refused, each of them.
HOSTILE: dict[str, Callable[[Path], str]] = {
    **{f"refused: {name}": bait(document) for name, (document, _) in REFUSED.items()},
    "entity bomb": bait(laughs(10)),
    "external entity": bait(
        '<!DOCTYPE svg [<!ENTITY a SYSTEM "file://{path}">]>' + drawing("<g>&a;</g>")
    ),
    "external entity from the network": bait(
        '<!DOCTYPE svg [<!ENTITY a SYSTEM "http://127.0.0.1:9/a">]>' + drawing("<g>&a;</g>")
    ),
    "external parameter entity": bait(
        '<!DOCTYPE svg [<!ENTITY % a SYSTEM "file://{path}"> %a;]>' + drawing(LEFT)
    ),
    "file href": bait(drawing('<image href="{path}" width="28" height="12"/>')),
    "file href of another prefix": bait(
        drawing('<image xmlns:q="http://www.w3.org/1999/xlink" q:href="file://{path}"/>')
    ),
    "file href in entities of characters": bait(
        drawing('<image href="&#102;ile:/&#x2f;{path}" width="28" height="12"/>')
    ),
    "http href": bait(drawing('<image href="http://127.0.0.1:9/a.png" width="28" height="12"/>')),
    "500 nested groups": bait(drawing("<g>" * 500 + LEFT + "</g>" * 500)),
    "100,000 nested groups": bait(drawing("<g>" * 100_000 + LEFT + "</g>" * 100_000)),
    "deep use": bait(doubled_use(90)),
}
# Refused or drawn: nothing is wrong with them, but that they are much.
EXCESSIVE: dict[str, Callable[[Path], str]] = {
    "a filter of minutes": bait(SLOW),
    "a wide blur": bait(filtered('<feGaussianBlur stdDeviation="1e9"/>')),
    "a wide morphology": bait(filtered('<feMorphology operator="dilate" radius="1e4"/>')),
    "huge viewBox": bait(drawing(LEFT, 'viewBox="0 0 1e30 1e30"')),
    "tiny viewBox": bait(drawing(LEFT, 'viewBox="0 0 1e-30 1e-30"')),
    "endless viewBox": bait(drawing(LEFT, 'viewBox="-1e308 -1e308 1e309 1e309"')),
    "a million dashes": bait(
        drawing('<path stroke="red" stroke-dasharray="1e-5" d="M0 0L28 12L28 0"/>')
    ),
    "a pattern of dust": bait(
        drawing(
            '<pattern id="p" width="1e-6" height="1e-6" patternUnits="userSpaceOnUse">'
            '<rect width="1" height="1"/></pattern><rect fill="url(#p)" width="28" height="12"/>'
        )
    ),
    "a mask of itself": bait(
        drawing('<mask id="m"><g mask="url(#m)">' + LEFT + "</g></mask>"
                '<g mask="url(#m)">' + LEFT + "</g>")
    ),
    "two uses of each other": bait(
        drawing('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>')
    ),
    "2 MB of one path": bait(drawing('<path d="M0 0' + "L9 9L0 5" * 240_000 + '"/>')),
    "40,000 groups of half opacity": bait(
        drawing('<g opacity=".5"><path d="M0 0h9v9"/></g>' * 40_000)
    ),
    "PNG of 900 million pixels inside": lambda _: embedded(png_of_900_million_pixels()),
}  # fmt: skip
