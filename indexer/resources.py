"""How much memory, disk and how many threads this process may use."""

import os
import shutil
import sys
from pathlib import Path

from indexer.errors import ResourceError

# A cgroup without a limit says "max" (v2) or a number near 2^63 (v1).
_NO_LIMIT = 1 << 60


def usable_threads() -> int:
    """Threads worth starting: the CPUs that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def _read_number(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _read_table(path: Path) -> dict[str, int]:
    """Lines of a name and a number, as in meminfo and memory.stat."""
    table: dict[str, int] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return table
    for line in lines:
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdecimal():
            table[words[0]] = int(words[1])
    return table


def _group_folders(root: Path) -> list[tuple[Path, str, str]]:
    """(folder, limit file, usage file) of this process's memory cgroups, v1 and v2, to the top."""
    found: list[tuple[Path, str, str]] = []
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return found
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers == "":
            top, files = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        parts = [part for part in name.split("/") if part not in ("", "..")]
        # a limit on any ancestor binds; inside a container the path may not exist, the top does
        depths = range(len(parts), -1, -1)
        found.extend((top.joinpath(*parts[:depth]), *files) for depth in depths)
    return found


def address_room(root: Path = Path("/")) -> int:
    """Bytes of address space that limits (`ulimit -v`) leave this process."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return _NO_LIMIT
    limit = min(
        value
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
        for value in (resource.getrlimit(kind)[0], _NO_LIMIT)
        if value != resource.RLIM_INFINITY
    )
    if limit >= _NO_LIMIT:
        return _NO_LIMIT
    used = _read_table(root / "proc/self/status").get("VmSize", 0) * 1024
    return max(0, limit - used)


def peak_memory() -> int:
    """Bytes of memory that this process has held at most, mapped files included."""
    high = _read_table(Path("/proc/self/status")).get("VmHWM")
    if high is not None:
        return high * 1024
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory(root: Path = Path("/")) -> int:
    """Bytes this process could still allocate: what is free, what cgroups and limits leave.

    root is where proc and sys are, for tests.
    """
    meminfo = _read_table(root / "proc/meminfo")
    if "MemAvailable" in meminfo:
        available = meminfo["MemAvailable"] * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        return _NO_LIMIT
    available = min(available, address_room(root))
    for folder, limit_file, usage_file in _group_folders(root):
        limit = _read_number(folder / limit_file)
        if limit is None or limit >= _NO_LIMIT:
            continue
        stat = _read_table(folder / "memory.stat")
        # pages of files are counted as used, but the kernel gives them up when asked
        reclaimable = stat.get("inactive_file", 0) + stat.get("active_file", 0)
        used = max(0, (_read_number(folder / usage_file) or 0) - reclaimable)
        available = min(available, max(0, limit - used))
    return available


def free_disk(folder: Path) -> int:
    """Bytes free where folder is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_memory(needed: int, what: str, least: float = 1.0) -> None:
    """ResourceError unless `needed` bytes of memory are there, or the share `least` of them."""
    available = available_memory()
    if least * needed > available:
        raise ResourceError(
            f"{what} needs {gigabytes(needed)} of memory and {gigabytes(available)} are available; "
            "ask for fewer decimals, or free memory or raise the container's limit"
        )


def require_address_room(needed: int, what: str) -> None:
    """ResourceError unless limits leave `needed` bytes of address space."""
    room = address_room()
    if needed > room:
        raise ResourceError(
            f"{what} needs {gigabytes(needed)} of memory (address space) and {gigabytes(room)} "
            "are left; "
            "raise the limit (ulimit -v)"
        )


def require_disk(needed: int, folder: Path, what: str) -> None:
    """ResourceError unless `needed` bytes are free where folder is."""
    free = free_disk(folder)
    if needed > free:
        raise ResourceError(
            f"{what} needs {gigabytes(needed)} of disk and {gigabytes(free)} are free at {folder}; "
            "free some, or use another --home"
        )


def gigabytes(n_bytes: float) -> str:
    """Bytes for a person: `80.0 TB`, `7.1 GB`, `84 MB`, `166 kB`, `0 bytes`."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.0f} {unit}"
    return f"{n_bytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """Seconds for a person, in the unit that gives a small number."""
    hours = seconds / 3600
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} minutes"
    if hours < 48:
        return f"{hours:.1f} hours"
    days = hours / 24
    return f"{days:,.0f} days" if days < 730 else f"{days / 365.25:,.1f} years"
