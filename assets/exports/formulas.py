"""Texts that a spreadsheet would take for a formula, made inert."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def inert(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with an apostrophe before such texts; what is a number stays one."""
    import polars as pl

    text = pl.col(pl.String)
    risky = text.str.contains(f"^[{''.join(map(re.escape, FORMULA_STARTS))}]")
    return frame.with_columns(pl.when(risky).then("'" + text).otherwise(text).name.keep())
