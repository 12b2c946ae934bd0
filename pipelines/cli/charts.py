"""Lines over time, drawn for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from rich.text import Text

Lines = Mapping[str, tuple[str, Sequence[float | None]]]
"""By name: its colour, as both rich and plotext call it, and its values; None where there is none."""

_TICKS = 14
"""Characters that a date below the chart takes, with some air."""


def draw(days: Sequence[date], labels: Sequence[str], lines: Lines, width: int, height: int) -> Text:
    """One line for each of `lines` over `days`, each of which is called by its label; a legend above.

    Names and labels come from the program, never from what is stored: they are drawn as they are.
    """
    from plotext import figure, marker

    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    xs = [day.toordinal() for day in days]
    for colour, values in lines.values():
        points = [(x, y) for x, y in zip(xs, values, strict=True) if y is not None]
        if points:
            signal = figure.signal(*map(list, zip(*points, strict=True)), marker=marker("braille", colour))
            signal.lines()
            figure.draw(signal)
    step = max(1, -(-len(xs) * _TICKS // width))
    figure.ruler("x").ticks(xs[::step], list(labels[::step]))
    legend = Text("  ").join(Text(f"● {name}", colour) for name, (colour, _) in lines.items())
    return Text("\n").join([legend, Text.from_ansi(figure.build().string())])
