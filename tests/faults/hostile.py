"""HTTP as no honest client speaks it: raw requests, each a function of a random generator."""

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_PATHS = ("/", "/page.js", *(f"/api/v1/{name}" for name in (
    "info", "find", "bitmap", "odds", "odds.png", "sheet", "digits", "openapi.json", "nothing",
)))  # fmt: skip
_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POST", "BREW", "get", "G E T")
_UPS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e/", "..\\", "..%5c", "....//", "..;/",
        "..%c0%af", "./", "//", "%00/")  # fmt: skip
_TARGETS = ("etc/passwd", "proc/self/environ", "routes.py", "query/web/routes.py", "manifest.json",
            "decimals.txt", "pi-100000/decimals.txt", ".git/config", "%00")  # fmt: skip
_LENGTHS = ("-1", "abc", "1e3", "+5", "0x10", "", " ", "9" * 30, "5, 5", "5\r\nContent-Length: 6")
_SIZES = (b"-1", b"zz", b"", b"0x5", b"F" * 30, b"5;" + b"x" * 9000, b" 5", b"5\n")


@dataclass(frozen=True)
class Hostile:
    """What is sent, and whether the server may close without a word."""

    kind: str
    sent: bytes
    may_be_silent: bool = False


def _head(method: str, path: str, *lines: str, host: str = "Host: 127.0.0.1") -> bytes:
    text = "\r\n".join([f"{method} {path} HTTP/1.1", host, "Connection: close", *lines, "", ""])
    return text.encode("latin-1")


def _bytes(chance: random.Random, most: int) -> bytes:
    return chance.randbytes(chance.randint(0, most))


def _method(chance: random.Random) -> bytes:
    return _head(chance.choice(_METHODS), chance.choice(_PATHS), "Content-Length: 0")


def _traversal(chance: random.Random) -> bytes:
    ups = "".join(chance.choices(_UPS, k=chance.randint(1, 12)))
    start = chance.choice(
        ("/", "/api/v1/", "/api/v1/digits/", "//", "/page.js/", "http://127.0.0.1/")
    )
    return _head("GET", start + ups + chance.choice(_TARGETS))


def _bad_text(chance: random.Random) -> bytes:
    """Bytes that are no UTF-8, in a path, a parameter's name, a value; escaped or as they are."""
    text = _bytes(chance, 60)
    if chance.random() < 0.7:
        text = "".join(f"%{byte:02X}" for byte in text).encode()
        text += chance.choice((b"", b"%", b"%g1"))
    else:
        text = bytes(byte | 0x80 for byte in text)
    place = chance.choice((b"/*", b"/api/v1/find?*=1", b"/api/v1/find?bitmap=*",
                           b"/api/v1/digits?offset=*", b"/api/v1/odds?logo=*"))  # fmt: skip
    return b"GET " + place.replace(b"*", text) + _head("GET", "")[len(b"GET ") :]


def _form(chance: random.Random) -> bytes:
    boundary = chance.choice(("x", "", "y" * 300, '"', "x; boundary=y"))
    body = chance.choice((b"--x", b"--x--", b'--x\r\nContent-Disposition: form-data; name="a"\r\n',
                          b"--x\r\n\r\n" + _bytes(chance, 2000), _bytes(chance, 2000)))  # fmt: skip
    kind = f"Content-Type: multipart/form-data; boundary={boundary}"
    return _head("POST", "/api/v1/bitmap", kind, f"Content-Length: {len(body)}") + body


def _length(chance: random.Random) -> bytes:
    """A length that is none, or not that of the body."""
    body = _bytes(chance, 500)
    right = len(body)
    said = chance.choice((*_LENGTHS, str(right + chance.randint(1, 10**6)), str(right // 2)))
    more = chance.choice(((), (), ("Transfer-Encoding: chunked",), ("Transfer-Encoding: gzip",)))
    path = chance.choice(("/api/v1/bitmap", "/api/v1/info"))
    return _head("POST", path, f"Content-Length: {said}", *more) + body


def _chunks(chance: random.Random) -> bytes:
    """Chunks of a wrong size, without an end, or very many."""
    head = _head("POST", "/api/v1/bitmap", "Transfer-Encoding: chunked")
    piece = b"5\r\n12345\r\n" * chance.choice((0, 1, 1000))
    rest = chance.choice((b"", b"\r\n", b"\r\n1234567\r\n0\r\n"))
    return head + piece + chance.choice(_SIZES) + rest


def _oversize(chance: random.Random) -> bytes:
    """An address, a head or (one time in ten, as it costs most) a body past its bound."""
    if chance.random() < 0.1:
        body = bytes(chance.choice((16_000_001, 17_000_000)))
        return _head("POST", "/api/v1/bitmap", f"Content-Length: {len(body)}") + body
    length = chance.choice((8192, 9000, 20_000, 40_000, 70_000))
    if chance.random() < 0.5:
        return _head("GET", "/api/v1/find?logo=" + "x" * length)
    return _head("GET", "/api/v1/info", *[f"X-{i}: {'y' * 90}" for i in range(length // 100)])


def _noise(chance: random.Random) -> bytes:
    """Bytes that are no HTTP, or HTTP that breaks off or is broken."""
    whole = bytearray(_head("GET", chance.choice(_PATHS), "Accept: text/event-stream"))
    if chance.random() < 0.4:
        return _bytes(chance, 3000)
    if chance.random() < 0.5:
        return bytes(whole[: chance.randrange(len(whole))])
    for _ in range(chance.randint(1, 5)):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    return bytes(whole)


def _host(chance: random.Random) -> bytes:
    name = chance.choice(("example.org", "127.0.0.1.example.org", "[::1", "localhost@evil", "a b",
                          "", "127.0.0.1\r\nHost: localhost", "\x80", "[::1]:"))  # fmt: skip
    line = chance.choice((f"Host: {name}", f"Host: {name}", "X-Host: 127.0.0.1"))
    return _head("GET", chance.choice(_PATHS), host=line)


def _origin(chance: random.Random) -> bytes:
    line = chance.choice(("Origin: null", "Origin: http://a.example", "Origin: [", "Origin: \xff",
                          "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"))  # fmt: skip
    return _head("POST", "/api/v1/bitmap", line, "Content-Length: 84") + b"1" * 84


# Each with whether the server may close without a word: where no whole request has come.
_KINDS: tuple[tuple[str, Callable[[random.Random], bytes], bool], ...] = (
    ("method", _method, False),
    ("traversal", _traversal, False),
    ("bad text", _bad_text, False),
    ("form", _form, False),
    ("length", _length, True),
    ("chunks", _chunks, True),
    ("oversize", _oversize, True),
    ("noise", _noise, True),
    ("host", _host, False),
    ("origin", _origin, False),
)


def hostile(number: int) -> Hostile:
    """The request of this number, the same each time; ten kinds take turns."""
    kind, make, may_be_silent = _KINDS[number % len(_KINDS)]
    return Hostile(kind, make(random.Random(number)), may_be_silent)  # noqa: S311


def exchange(address: str, request: Hostile) -> bytes:
    """Send it, and return all that comes back.

    Where what is sent may be less than a request, our half is closed, so that the server need not
    wait for more. It is left open otherwise: who closes it has gone, and may be answered no more.
    """
    parts = urlsplit(address)
    reply = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        try:
            connection.sendall(request.sent)
            if request.may_be_silent:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off while we were sending: the reply may be there all the same
        try:
            while piece := connection.recv(1 << 16):
                reply += piece
        except ConnectionResetError:
            pass
    return reply
