"""`python -m tests.engines.client ENGINE LAKE FOLDER`: ingests in small shares, to be killed on the way."""

from __future__ import annotations

import sys
import time

from assets import sources, staging
from assets.ingest import ingest
from resources.config import configuration, open_storage
from resources.engines import open_engine


def main(address: str, lake: str, folder: str) -> None:
    sources.CHUNK_FILES = staging.STAGED_FILES = 5
    opened = open_storage(lake).backend
    with open_engine(address, configuration(lake), opened) as engine:
        ingest(opened, sources.find([folder]), progress=lambda *_: time.sleep(0.3), engine=engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
