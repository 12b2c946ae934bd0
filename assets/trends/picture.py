"""A small picture of a trend: what is open, and below it what came and what was fixed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

WIDTH, HEIGHT = 640, 208
_LEFT, _RIGHT, _TOP = 4, 84, 22
_OPEN_HEIGHT, _MIDDLE, _FLOW_HEIGHT = 88, 150, 28
"""The panel of what is open, and the line from which bars go up (came) and down (fixed), in pixels."""

_OPEN, _CAME, _FIXED, _TEXT = "#4c78a8", "#e45756", "#54a24b", "#888"
"""Seen on white as on black, and told apart by where they are too."""


def svg(labels: Sequence[str], opens: Sequence[int], came: Sequence[int], fixed: Sequence[int]) -> str:
    """An SVG image of periods called `labels`, oldest first; the other figures are one for each of them.

    It needs no font, style or script from elsewhere; of the same figures it is the same text.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11" fill="{_TEXT}">'
        f"{''.join(_parts(labels, opens, came, fixed))}</svg>"
    )


def _parts(
    labels: Sequence[str], opens: Sequence[int], came: Sequence[int], fixed: Sequence[int]
) -> Iterator[str]:
    if not labels:
        yield f'<text x="{_LEFT}" y="{_TOP}">no run yet</text>'
        return
    step = (WIDTH - _LEFT - _RIGHT) / len(labels)
    most = max(1, *opens)
    flow = max(1, *came, *fixed)
    base = _TOP + _OPEN_HEIGHT
    points = [
        f"{_LEFT + (n + side) * step:.1f},{base - _OPEN_HEIGHT * value / most:.1f}"
        for n, value in enumerate(opens)
        for side in (0, 1)
    ]
    right = WIDTH - _RIGHT
    yield f'<path d="M{_LEFT},{base} L{" ".join(points)} L{right},{base}Z" fill="{_OPEN}" opacity=".3"/>'
    yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{_OPEN}" stroke-width="2"/>'
    yield f'<text x="{_LEFT}" y="13">open, at most {most:,}</text>'
    height = base - _OPEN_HEIGHT * opens[-1] / most
    yield f'<text x="{right + 4}" y="{height + 4:.1f}" fill="{_OPEN}">{opens[-1]:,}</text>'
    for values, sign, colour in ((came, -1, _CAME), (fixed, 1, _FIXED)):
        for n, value in enumerate(values):
            length = _FLOW_HEIGHT * value / flow
            x, y = _LEFT + (n + 0.1) * step, _MIDDLE + min(0, sign * length)
            if value:
                yield (
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.8 * step:.1f}" height="{length:.1f}"'
                    f' fill="{colour}"/>'
                )
    yield f'<path d="M{_LEFT},{_MIDDLE}H{right}" stroke="{_TEXT}"/>'
    yield f'<text x="{right + 4}" y="{_MIDDLE - 6}" fill="{_CAME}">+{came[-1]:,} came</text>'
    yield f'<text x="{right + 4}" y="{_MIDDLE + 14}" fill="{_FIXED}">−{fixed[-1]:,} fixed</text>'
    yield f'<text x="{_LEFT}" y="{HEIGHT - 6}">{escape(labels[0])}</text>'
    if len(labels) > 1:
        yield f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">{escape(labels[-1])}</text>'
