"""Numbers, times and names as the pages write them."""

from datetime import datetime
from textwrap import dedent
from typing import Final

_BYTES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_COUNTS: Final = ("", "k", "M", "G", "T")
NONE: Final = "–"


def size(count: float | None) -> str:
    """Bytes in powers of 1000: ``1.2 MB``."""
    if count is None:
        return NONE
    return _scaled(float(count), _BYTES, " ")


def number(count: float | None) -> str:
    """A count with thin spaces between the thousands: ``12 345``."""
    return NONE if count is None else f"{count:,.0f}".replace(",", "\u202f")


def compact(value: float, space: str = " ") -> str:
    """A number with at most three digits and k, M, G: ``2.5k``."""
    return _scaled(value, _COUNTS, space) if abs(value) >= 9.995 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """A time span with its two largest units: ``42 ms``, ``3.1 s``, ``2 min 5 s``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds is None or seconds < 0:
        return NONE
    if seconds < 60:
        return (
            f"{seconds * 1000:.0f} ms"
            if seconds < 0.9995
            else f"{seconds:.1f} s"
            if seconds < 9.95
            else f"{seconds:.0f} s"
        )
    whole = round(seconds)
    for unit, small, seconds_of, seconds_of_small in (
        ("d", "h", 86400, 3600),
        ("h", "min", 3600, 60),
        ("min", "s", 60, 1),
    ):
        if whole >= seconds_of:
            rest = whole % seconds_of // seconds_of_small
            return f"{whole // seconds_of} {unit}" + (f" {rest} {small}" if rest else "")
    return NONE


def moment(time: datetime | None) -> str:
    """A time to the second: ``2026-11-22 20:15:03``; always UTC."""
    return NONE if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def clock(time: datetime) -> str:
    """A time of day to the second."""
    return f"{time:%H:%M:%S}"


def iso(time: datetime | None) -> str:
    """A time as HTML's ``time`` element wants it, with the zone."""
    return "" if time is None else time.isoformat(timespec="milliseconds") + "Z"


def share(part: float, whole: float) -> str:
    """A part of a whole: ``12.5 %``; of nothing, nothing."""
    if not whole:
        return NONE
    percent = 100 * part / whole
    return f"{percent:.2g} %" if 0 < percent < 1 else f"{percent:.1f} %".replace(".0 %", " %")


def shortened(text: str, characters: int = 60) -> str:
    """A long text with its middle left out: the ends of paths are what tells them apart."""
    if len(text) <= characters:
        return text
    head = characters // 3
    return f"{text[:head]}…{text[len(text) - (characters - head - 1) :]}"


def beyond(text: str, path: str) -> str:
    """An error of a file without the file's path, where that stands beside it anyway."""
    return text.removeprefix(f"{path}: ")


def headline(text: str) -> str:
    """The first line of an error: the sentence."""
    return text.partition("\n")[0]


def details(text: str) -> str:
    """What follows an error's first line: the places in the query, which need their columns kept."""
    return dedent(text.partition("\n")[2]).rstrip()


def folder(path: str) -> str:
    """A path up to its last slash, with it."""
    head, slash, _ = path.rpartition("/")
    return head + slash


def file_name(path: str) -> str:
    """A path behind its last slash."""
    return path.rpartition("/")[2]


def worker_name(address: str) -> str:
    """A worker's address without the protocol."""
    return address.rpartition("://")[2]


def _scaled(value: float, units: tuple[str, ...], space: str) -> str:
    place = 0
    while abs(value) >= 999.5 and place < len(units) - 1:
        value /= 1000
        place += 1
    digits = f"{value:.3g}" if place else f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{digits}{space}{units[place]}".rstrip()
