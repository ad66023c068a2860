"""Figures computed apart from drawing: coordinates for the templates' inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from delivery.service.pages.formats import compact, duration, share

WIDTH: Final = 640.0
HEIGHT: Final = 180.0
LEFT: Final = 64.0
BOTTOM: Final = 28.0
TOP: Final = 20.0
RIGHT: Final = 28.0


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a cutflow: what was asked, the events that passed, of all and of the row before; `width` of 0 to 100."""

    text: str
    passed: int
    of_all: str
    of_before: str
    width: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark at an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over time: points in the view box's units, ticks of both axes, and its gist in words."""

    points: str
    area: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    y_title: str
    words: str


def cutflow(events_in: int, rows: Sequence[tuple[str, int]]) -> tuple[Step, ...]:
    """The steps of a cutflow, the events read first."""
    steps, before = [], events_in
    for text, passed in [("events read", events_in), *rows]:
        width = 100 * passed / events_in if events_in else 0.0
        steps.append(Step(text, passed, share(passed, events_in), share(passed, before), round(width, 2)))
        before = passed
    return tuple(steps)


def summed(cutflows: Sequence[Sequence[Sequence[object]]]) -> list[tuple[str, int]]:
    """The cutflows of files added up, row by row; of files of one request the rows are the same."""
    total: dict[tuple[int, str], int] = {}
    for rows in cutflows:
        for place, (text, passed) in enumerate(rows):
            total[place, str(text)] = total.get((place, str(text)), 0) + int(str(passed))
    return [(text, total[place, text]) for place, text in sorted(total)]


def throughput(spans: Sequence[tuple[datetime, datetime, int]], bins: int = 48) -> Curve | None:
    """Events per second over a request's time, from each file's begin, end and events; None with nothing to show.

    A file's events count evenly over the time that it ran, so that the area below the line is the events.
    """
    if not spans:
        return None
    begin = min(start for start, _, _ in spans)
    length = max((end - begin).total_seconds() for _, end, _ in spans)
    if length <= 0:
        return None
    width = length / bins
    heights = [0.0] * bins
    for start, end, events in spans:
        first = (start - begin).total_seconds()
        last = max((end - begin).total_seconds(), first + 1e-6)
        for place in range(int(first / width), min(int(last / width) + 1, bins)):
            overlap = min(last, (place + 1) * width) - max(first, place * width)
            if overlap > 0:
                heights[place] += events * overlap / (last - first) / width
    return _curve(heights, length)


def _curve(heights: Sequence[float], length: float) -> Curve | None:
    top = _round_up(max(heights))
    if top == 0:
        return None
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    floor = HEIGHT - BOTTOM
    points = []
    for place, height in enumerate(heights):
        y = round(floor - high * height / top, 1)
        points += [f"{round(LEFT + wide * edge / len(heights), 1)},{y}" for edge in (place, place + 1)]
    line = " ".join(points)
    area = f"{LEFT},{floor} {line} {LEFT + wide},{floor}"
    step = _time_step(length)
    x_ticks = tuple(
        Tick(round(LEFT + wide * step * count / length, 1), _time(step * count))
        for count in range(math.floor(length / step * (1 + 1e-9)) + 1)
    )
    y_ticks = tuple(Tick(round(floor - high * part / 2, 1), compact(top * part / 2, "")) for part in range(3))
    words = f"at most {compact(max(heights))} events/s, {duration(length)} from the first start to the last end"
    return Curve(line, area, x_ticks, y_ticks, "events read per second", words)


def _time_step(length: float) -> float:
    """Seconds between marks of a time axis: a round number, so that there are at most six marks."""
    fine = [digit * 10.0**power for power in range(-6, 2) for digit in (1, 2, 5) if digit * 10.0**power < 60]
    coarse = [60.0 * one for one in (1, 2, 5, 10, 15, 30, 60, 120, 360, 720)]
    return next((step for step in (*fine, *coarse) if length / step <= 5), 86400.0 * math.ceil(length / 86400 / 5))


def _time(seconds: float) -> str:
    return duration(seconds).replace(".0 s", " s") if seconds else "0"


def _round_up(value: float) -> float:
    """The next number of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
