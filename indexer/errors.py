"""Every error this program raises on purpose, and the exit code each one means.

    PilogoError                 anything below; the CLI prints it as one line
    ├── ClaimFailed        1    it ran, and what was to be shown is not so (check, verify)
    ├── UsageError         2    an argument that can never work
    ├── InputError         3    bytes from outside that are not what they should be
    │   ├── LogoError           a picture, a text of digits, a line on standard input
    │   ├── CostsError          a file for --costs
    │   └── SourceError         a file for `digits import`
    └── StoreError         4    the store cannot answer
        ├── StoreMissing        nothing there, or not complete
        ├── StoreDamaged        it is there and it contradicts its manifest
        │   └── StoreForeign    it is of another version, another program or other decimals
        ├── StoreBusy           another process is building it
        ├── ClusterError        the scheduler or its workers do not answer
        └── ResourceError       not enough memory or disk for what was asked

A message says what is wrong, the value found, the values allowed, the file and the next step.
"""


class PilogoError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1


def reason(error: Exception) -> str:
    """What an exception of the system or a library says, without its number and its path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class ClaimFailed(PilogoError):
    """A check or verification ran to its end and the claim does not hold."""


class UsageError(PilogoError):
    """An argument outside what can ever work."""

    exit_code = 2


class InputError(PilogoError):
    """Bytes from outside that are not what they should be."""

    exit_code = 3


class LogoError(InputError):
    """A picture, a text of digits or a line on standard input that makes no bitmap."""


class CostsError(InputError):
    """A cost table file that is not 84 rows of 10 numbers."""


class SourceError(InputError):
    """A file of decimals that is doubtful."""


class StoreError(PilogoError):
    """The store cannot answer."""

    exit_code = 4


class StoreMissing(StoreError):
    """No complete store where one is needed."""


class StoreDamaged(StoreError):
    """A store that contradicts its own manifest."""


class StoreForeign(StoreDamaged):
    """What stands there is sound, but of another version, another program or other decimals."""


class StoreBusy(StoreError):
    """Another process is building this store."""


class ClusterError(StoreError):
    """The scheduler that was named, or its workers, cannot be reached or used."""


class ResourceError(StoreError):
    """Not enough memory or disk for what was asked."""
