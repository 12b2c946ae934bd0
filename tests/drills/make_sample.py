"""Makes the sample `written-by-<version>`, for later versions to open: `python -m tests.drills.make_sample`.

Run it once a release, and never again for that version.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

from resources.config import open_storage
from tests.drills.world import everything, fill
from tests.lake.state import DAYS


def main() -> None:
    folder = Path(__file__).parent / f"written-by-{version('issuelake')}"
    if folder.exists():
        sys.exit(f"{folder} is there already, and stays as it is")
    folder.mkdir()
    config = folder / "made.yaml"
    config.write_text(
        f"storage_backend: sqlite\nstorage_config: {{sqlite: {{database_path: {folder}/issues.db}}}}\n"
    )
    lake, database = open_storage(str(folder / "lake")).backend, open_storage(config=config).backend
    for backend in (lake, database):
        fill(backend)
    lake.compact_day(DAYS[0])  # its old files stay, for the grace period
    for name, backend in (("lake", lake), ("issues.db", database)):
        (folder / f"{name}.json").write_text(json.dumps(everything(backend), indent=1) + "\n")
    config.unlink()


if __name__ == "__main__":
    main()
