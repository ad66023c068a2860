"""Damaged ROOT files: where the parts of a file lie, and random damage to one of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uproot

CHECKED_METHODS = {b"ZL", b"L4", b"XZ"}  # compressions that carry a checksum of what they hold
KEY_HEADER = 26  # bytes of a key before its names
COMPRESSION_HEADER = 9


@dataclass(frozen=True)
class Region:
    """A part of a file; ``checked`` says that the format tells whether its bytes are right."""

    part: str
    start: int
    stop: int
    checked: bool


@dataclass(frozen=True)
class Damage:
    """What was done to a file."""

    how: str
    part: str
    start: int
    checked: bool


def regions(path: Path, tree: str, columns: Sequence[str]) -> list[Region]:
    """The parts of a file that a query on these columns of the tree depends on."""
    content = path.read_bytes()
    with uproot.open(path) as file:
        raw = file.file
        found = [
            Region("file header", 4, 64, False),
            Region("first directory", raw.fBEGIN, raw.fBEGIN + raw.fNbytesName + 60, False),
            Region("streamer info", raw.fSeekInfo, raw.fSeekInfo + raw.fNbytesInfo, False),
            _object("list of keys", content, file.fSeekKeys, file.fNbytesKeys, checked=False),
        ]
        key = file.key(tree)
        if key.fClassName == "ROOT::RNTuple":
            return found + _ntuple_parts(key, file[tree], columns)
        found += _key(content, "tree", key.fSeekKey)
        for name in columns:
            branch = file[tree][name]
            for seek in branch.member("fBasketSeek")[: branch.member("fWriteBasket")]:
                found += _key(content, "basket", int(seek))
        return found


def _key(content: bytes, part: str, seek: int) -> list[Region]:
    """The two regions of an object with its key."""
    size, length = int.from_bytes(content[seek : seek + 4], "big"), _key_length(content, seek)
    whole = Region(f"key of {part}", seek, seek + length, False)
    return [whole, _object(part, content, seek + length, size - length)]


def _key_length(content: bytes, seek: int) -> int:
    return int.from_bytes(content[seek + 14 : seek + 16], "big")


def _object(part: str, content: bytes, start: int, size: int, checked: bool | None = None) -> Region:
    """An object's bytes; if they are compressed, without the header of the compression."""
    method = content[start : start + 2]
    if checked is None and method in CHECKED_METHODS | {b"ZS"}:
        return Region(part, start + COMPRESSION_HEADER, start + size, method in CHECKED_METHODS)
    return Region(part, start, start + size, bool(checked))


def _ntuple_parts(key: Any, ntuple: Any, columns: Sequence[str]) -> list[Region]:
    """Anchor, header, footer, page lists, and the pages of these fields, those with a checksum as checked."""
    anchor = ntuple._members
    found = [
        Region("key of anchor", key.fSeekKey, key.fSeekKey + key.fKeylen, False),
        Region("anchor", key.fSeekKey + key.fKeylen, key.fSeekKey + key.fNbytes, True),
        Region("header", anchor["fSeekHeader"], anchor["fSeekHeader"] + anchor["fNBytesHeader"], True),
        Region("footer", anchor["fSeekFooter"], anchor["fSeekFooter"] + anchor["fNBytesFooter"], True),
    ]
    for group in ntuple.footer.cluster_group_records:
        link = group.page_list_link.locator
        found.append(Region("page list", link.offset, link.offset + link.num_bytes, True))
    fields = [ntuple[name].field_id for name in columns]
    for field in fields:
        fields += ntuple._related_ids[field]  # the fields below
    numbers = [number for number, record in enumerate(ntuple.column_records) if record.field_id in fields]
    for cluster in ntuple.page_link_list:
        for number in numbers:
            for page in cluster[number].pages:
                size = page.locator.num_bytes + 8 * page.has_checksum
                found.append(Region("page", page.locator.offset, page.locator.offset + size, page.has_checksum))
    return found


def damage(rng: random.Random, content: bytes, places: Sequence[Region]) -> tuple[bytes, Damage]:
    """The content with one thing wrong: cut off, or bytes changed within one region."""
    if rng.random() < 0.12:
        return _cut(rng, content)
    parts = sorted({region.part for region in places})
    part = rng.choice(parts)
    region = rng.choice([region for region in places if region.part == part])
    changed = bytearray(content)
    at = rng.randrange(region.start, region.stop)
    how = rng.choice(("bit", "bit", "bit", "byte", "number", "zeros", "noise", "ones", "copied"))
    if how == "bit":
        changed[at] ^= 1 << rng.randrange(8)
    elif how == "byte":
        changed[at] = (changed[at] + rng.randrange(1, 256)) % 256
    else:
        size = min(4 if how == "number" else rng.choice((2, 8, 64)), region.stop - at)
        changed[at : at + size] = _bytes(rng, how, size, content)
    return bytes(changed), Damage(how, region.part, at, region.checked)


def _bytes(rng: random.Random, how: str, size: int, content: bytes) -> bytes:
    if how == "copied":
        at = rng.randrange(len(content) - size)
        return content[at : at + size]
    if how == "number":
        numbers = (0, 1, 2, 63, 0x7FFFFFFF, 0xFFFFFFFF, 0x40000000, 0x80000000, len(content), rng.randrange(1 << 20))
        return rng.choice(numbers).to_bytes(4, "big")[:size]
    return {"zeros": bytes(size), "ones": b"\xff" * size}.get(how, rng.randbytes(size))


def _cut(rng: random.Random, content: bytes) -> tuple[bytes, Damage]:
    """A file that ends early; sometimes with a header that says so, as a repair tool or a crashed job leaves it."""
    end = rng.randrange(len(content))
    cut = content[:end]
    if end > 100 and rng.random() < 0.5:
        return cut[:12] + end.to_bytes(4, "big") + cut[16:], Damage("cut, header agrees", "file", end, False)
    return cut, Damage("cut", "file", end, True)
