"""How long work reports: a callback that takes one Step."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """How far one stage of a long job has come.

    done and total are in unit; a total of 0 means that the end is not known. A stage is over when
    a Step of another stage arrives, or when done reaches total.
    """

    stage: str
    done: float
    total: float
    unit: str


Progress = Callable[[Step], None]


def silent(step: Step) -> None:
    """Ignore the step."""
