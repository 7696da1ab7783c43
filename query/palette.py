"""The ten shades: what a digit looks like, and which digit a grey is.

Source: the palette of the 2014 contest (data/contest.json). It is not evenly spaced.
"""

# 8-bit sRGB grey of the digits 0 (white) to 9 (black).
GREYS: tuple[int, ...] = (255, 240, 235, 208, 193, 168, 135, 83, 51, 0)
