"""Query side: from a picture to the windows of π that look most like it.

>>> from query import Finder, read_logo
>>> finder = Finder()
>>> answer = finder.find(read_logo("logo.png"), top=3)
>>> [(match.offset, match.distance) for match in answer.matches]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from query.answer import Answer, Match, Odds
    from query.bitmap import read_logo
    from query.finder import Finder
    from query.metrics import METRICS, CostTable, cost_table, read_costs
    from query.odds import compute_odds

__all__ = [
    "METRICS",
    "Answer",
    "CostTable",
    "Finder",
    "Match",
    "Odds",
    "compute_odds",
    "cost_table",
    "read_costs",
    "read_logo",
]

_HOMES = {
    "answer": ("Answer", "Match", "Odds"),
    "bitmap": ("read_logo",),
    "finder": ("Finder",),
    "metrics": ("METRICS", "CostTable", "cost_table", "read_costs"),
    "odds": ("compute_odds",),
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must not wait for NumPy to print its help."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"query.{module}"), name)
    raise AttributeError(f"module 'query' has no attribute {name!r}")
