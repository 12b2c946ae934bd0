"""XLSX: a sheet, and a further one whenever the one before is full. Every text is a text, never a
formula or a link; moments are Excel's, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from assets.exports.formulas import inert
from assets.exports.selection import COLUMNS, Selection

SHEET_ROWS = 1_048_576
"""Excel's limit, the head row included."""

CELL_CHARACTERS = 32_767
"""Excel's limit; a longer text is cut and says so."""

_CUT = " … [cut]"
_NOT_IN_XML = "[\ufffe\uffff]"
_WIDTHS = {"validation_run_id": 38, "timestamp": 20, "description": 60, "file_path": 40, "recommendation": 40}
_CREATED = datetime(2000, 1, 1)  # always the same, so that the same issues are the same bytes
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


def write(selection: Selection, path: Path) -> int:
    try:
        with xlsxwriter.Workbook(str(path), _OPTIONS | {"tmpdir": str(path.parent)}) as workbook:
            return _fill(workbook, selection)
    except FileCreateError as error:
        raise OSError(str(error)) from error


def _fill(workbook: Any, selection: Selection) -> int:
    workbook.set_properties({"title": "Issues", "created": _CREATED})
    shapes = {
        "moment": workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        "head": workbook.add_format({"bold": True}),
    }
    sheet, row, count = _sheet(workbook, shapes), 1, 0
    for frame in selection.frames():
        for issue in _fitting(frame).iter_rows():
            if row == SHEET_ROWS:
                sheet, row = _sheet(workbook, shapes), 1
            for column, value in enumerate(issue):
                _write(sheet, row, column, value, shapes)
            row += 1
        count += frame.height
    return count


def _fitting(frame: pl.DataFrame) -> pl.DataFrame:
    text = pl.col(pl.String).str.replace_all(_NOT_IN_XML, "\N{REPLACEMENT CHARACTER}")
    clean = inert(frame.with_columns(text))
    cut = pl.col(pl.String).str.head(CELL_CHARACTERS - len(_CUT)) + _CUT
    too_long = pl.col(pl.String).str.len_chars() > CELL_CHARACTERS
    return clean.with_columns(pl.when(too_long).then(cut).otherwise(pl.col(pl.String)).name.keep())


def _sheet(workbook: Any, shapes: dict[str, Any]) -> Any:
    number = len(workbook.worksheets()) + 1
    sheet = workbook.add_worksheet("Issues" if number == 1 else f"Issues {number}")
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(COLUMNS):
        sheet.set_column(column, column, _WIDTHS.get(name, 16))
        sheet.write_string(0, column, name, shapes["head"])
    return sheet


def _write(sheet: Any, row: int, column: int, value: Any, shapes: dict[str, Any]) -> None:
    if isinstance(value, str):
        sheet.write_string(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), shapes["moment"])
    elif value is not None:
        sheet.write_number(row, column, value)
