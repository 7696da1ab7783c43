"""Where the program starts, and the one place that turns errors into a line and an exit code.

Signals are handled before anything else is imported.
"""

import contextlib
import os
import sys
from typing import NoReturn

from query.interrupts import Terminated, ignore, listen, raise_heard

_BUG = 1


def complain(message: str) -> None:
    """Say on standard error, in one line, what is wrong."""
    line = "".join(c if c.isprintable() else " " for c in message)
    with contextlib.suppress(OSError, ValueError):  # there is nowhere else to say it
        sys.stderr.write(f"pilogo: {' '.join(line.split())}\n")
        sys.stderr.flush()


def main() -> NoReturn:
    """Run the command line and exit: 0, or the code of what went wrong, with one line about it."""
    listen()
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        complain("interrupted")
        code = 130
    except Terminated as error:
        complain("terminated")
        code = int(str(error.code))
    ignore()
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """The exit code of one command line; a reader who has seen enough is no error."""
    from indexer.errors import StoreError  # noqa: PLC0415 - signals are handled first

    if sys.stdin is None or sys.stderr is None:  # closed by whoever started us
        nothing = os.fdopen(os.open(os.devnull, os.O_RDWR), "r+", encoding="utf-8")
        sys.stdin, sys.stderr = sys.stdin or nothing, sys.stderr or nothing
    if sys.stdout is None:
        complain("standard output is closed; the answer has nowhere to go")
        return StoreError.exit_code
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `pilogo find - | head`
        _drop_output()
        return 0
    except OSError as error:
        raise_heard()
        _drop_output()
        nameless = "standard output: " if error.errno else ""  # a library that cannot be loaded
        where = f"{error.filename}: " if error.filename else nameless
        complain(f"{where}{error.strerror or error}")
        return StoreError.exit_code
    except MemoryError:
        complain("memory is used up; free some, raise the limit, or use fewer --threads")
        return StoreError.exit_code
    except Exception as error:
        raise_heard()
        if os.environ.get("PILOGO_TRACEBACK"):
            raise
        complain(f"a bug: {type(error).__name__}: {error}; PILOGO_TRACEBACK=1 shows where")
        return _BUG
    return code


def _invoke(arguments: list[str]) -> int:
    """Run a command; its errors as one line and a code. click's own main has other codes."""
    import click  # noqa: PLC0415 - signals are handled first

    from indexer.errors import PilogoError  # noqa: PLC0415
    from query.cli import cli  # noqa: PLC0415 - it imports this module

    try:
        with cli.make_context("pilogo", arguments) as context:
            cli.invoke(context)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "pilogo"
        complain(f"{error.format_message().rstrip('.')}; see {command} --help")
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except PilogoError as error:
        raise_heard()
        complain(str(error))
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return 0


def _drop_output() -> None:
    """Let what is still in the buffers go nowhere: it must not fail again at the exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
