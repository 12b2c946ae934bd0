"""Texts that a spreadsheet would take for a formula, made inert."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def inert(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with an apostrophe before such texts; what is a number stays one."""
    import polars as pl

    text = pl.col(pl.String)
    starts = pl.any_horizontal(text.str.starts_with(start) for start in FORMULA_STARTS)
    return frame.with_columns(pl.when(starts).then("'" + text).otherwise(text).name.keep())
