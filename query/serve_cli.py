"""The command `pilogo serve`."""

import socket
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import StoreError, UsageError
from indexer.options import (
    constant_option,
    digits_option,
    from_option,
    home_option,
    progress_option,
    threads_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from query.finder import Finder

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_serve(open_finder: "Callable[[dict[str, Any]], Finder]") -> click.Command:
    """The command, given what opens the store that its options name."""

    @click.command()
    @digits_option
    @from_option
    @constant_option
    @click.option("--host", default="127.0.0.1", show_default=True, metavar="NAME",
                  help="Address to listen on; another than this machine's own lets others "
                  "in.")  # fmt: skip
    @click.option("--port", type=click.IntRange(0, 65535), default=8314, show_default=True,
                  help="Port to listen on; 0 takes any that is free.")  # fmt: skip
    @click.option("--open/--no-open", "open_page", default=False,
                  help="Show the page in the browser.")  # fmt: skip
    @home_option
    @threads_option
    @progress_option
    def serve(**options: Any) -> None:
        """Serve the web page and its API.

        Prints the address. Only this machine can reach it, unless --host says otherwise. Ctrl-C
        ends it. Needs the extra `web`: pip install 'pilogo[web]'.

        \b
        Examples:
          pilogo serve
          pilogo serve --digits 1e9 --port 8000 --open
        """
        try:
            from query.web.server import serve as run  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the page needs {error.name}, which is not installed; "
                "next: pip install 'pilogo[web]'"
            ) from None
        finder = open_finder({**options, "exact": False})
        host, port = options["host"], options["port"]
        with _listen(host, port) as listener:
            taken = listener.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            address = f"http://{shown}:{taken}/"
            if host not in _LOOPBACK:
                click.echo(
                    f"warning: anyone who reaches {host} port {taken} can use this server, "
                    "without a password and in clear text",
                    err=True,
                )
            click.echo(address)
            if options["open_page"]:
                webbrowser.open(address)
            names = _LOOPBACK if host in _LOOPBACK else ()
            run(finder, listener, names)

    return serve


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{host} port {port} cannot be listened on: {words}; use another --port or --host"
        ) from None
    # Connections take it over. Without it a reply's body waits 40 ms for its head's receipt.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
