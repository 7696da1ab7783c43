"""Where the program starts, and the one place that turns errors into a line and an exit code."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from indexer.errors import PilogoError, StoreError


def complain(message: str) -> None:
    """Say on standard error, in one line, what is wrong."""
    line = "".join(c if c.isprintable() else " " for c in message)
    with contextlib.suppress(OSError, ValueError):  # there is nowhere else to say it
        click.echo(f"pilogo: {' '.join(line.split())}", err=True)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)


def main() -> NoReturn:
    """Run the command line and exit: 0, or the code of what went wrong, with one line about it."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """The exit code of one command line; a reader who has seen enough is no error."""
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
        _drop_output()
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return StoreError.exit_code
    return code


def _invoke(arguments: list[str]) -> int:
    """Run a command; its errors as one line and a code. click's own main has other codes."""
    try:
        from query.cli import cli  # noqa: PLC0415 - it imports this module

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
        complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        return 130
    return 0


def _drop_output() -> None:
    """Let what is still in the buffers go nowhere: it must not fail again at the exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
