"""The notebooks in docs/ run, and show what they showed when they were committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from assets.ingest import ingest
from assets.sources import find
from resources.config import open_storage

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def shown(notebook: Any) -> list[list[str]]:
    """The text of every output, cell by cell; of a picture only that there is one."""
    return [
        [
            "a picture"
            if "image/png" in output.get("data", {})
            else output.get("text") or output["data"]["text/plain"]
            for output in cell.outputs
            if "font cache" not in output.get("text", "")  # matplotlib says so on a new machine
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_showed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(open_storage(str(tmp_path / "lake")).backend, find([str(ROOT / "examples" / "runs")]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(path, as_version=4)
    committed = shown(notebook)
    assert ["a picture"] in committed
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, timeout=120
    ).execute()
    assert shown(notebook) == committed
