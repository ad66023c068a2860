"""Quantities in words."""

SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def bytes_text(size: float) -> str:
    """Bytes in the unit that leaves at most three digits before the point."""
    unit = "B"
    for candidate, factor in SIZES.items():
        if size >= factor:
            unit = candidate
    number = size / SIZES[unit]
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def share_text(part: float, whole: float) -> str:
    """A percentage with one decimal; nothing of nothing is empty."""
    return f"{100 * part / whole:.1f} %" if whole else ""
