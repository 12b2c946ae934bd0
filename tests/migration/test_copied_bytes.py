"""A lake that is copied byte for byte, by any tool, from storage to storage answers the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from resources.files import open_files, open_filesystem
from resources.lake import Lake
from tests.backends.contract import rows
from tests.lake.state import DAYS, NOW, append, document, read
from tests.migration.places import everything, furnish
from tests.servers import AZURE_ACCOUNT, AZURE_KEY, Server, Storage


@pytest.mark.parametrize("compacted", [False, True])
def test_from_folder_to_s3_to_sftp_to_azure_and_back(
    compacted: bool,
    tmp_path: Path,
    s3_server: Storage,
    sftp_server: Storage,
    azurite: Server,
) -> None:
    endpoint = f"{azurite.url}/{AZURE_ACCOUNT}"
    text = f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
    unique = uuid4().hex
    stations = [
        Storage(str(tmp_path / "lake")),
        Storage(f"{s3_server.url}/{unique}", s3_server.options),
        Storage(f"{sftp_server.url}/{unique}", sftp_server.options),
        Storage(f"abfs://issuelake/{unique}", {"connection_string": f"{text}BlobEndpoint={endpoint};"}),
        Storage(str(tmp_path / "back")),
    ]
    lake = opened(stations[0])
    furnish(lake)
    if compacted:
        lake.maintain(NOW)
    before = whole(lake)
    files = 0
    for source, target in pairwise(stations):
        files = copy(source, target)
        assert whole(opened(target)) == before, target.url
        assert read(opened(target), DAYS[1], DAYS[2]) == read(lake, DAYS[1], DAYS[2])
    assert files == sum(path.is_file() for path in (tmp_path / "lake").rglob("*"))
    # It is a lake as any other: it knows what it has, and goes on.
    again = opened(stations[-1])
    assert append(again, [document("alone", DAYS[4]), document("gone", DAYS[3])]).duplicates == 1
    again.maintain(NOW)
    assert set(read(again)) == {*read(lake), "gone"}


def opened(place: Storage) -> Lake:
    return Lake(open_files(place.url, place.options))


def whole(lake: Lake) -> dict[str, Any]:
    """Everything, the batches too."""
    batches = lake.reading(lambda c: rows(c, "SELECT validation_run_id, batch_id FROM runs ORDER BY ALL"))
    by_day = {day: sorted(read(lake, day, day)) for day in DAYS}
    return everything(lake) | {"batches": batches, "days": by_day}


def copy(source: Storage, target: Storage) -> int:
    """Copy every file, as `cp -r`, rclone or the like do; how many there were."""
    (there, root), (here, below) = (open_filesystem(p.url, p.options) for p in (source, target))
    paths = there.find(root)
    for path in paths:
        name = f"{below}/{path.removeprefix('/')[len(root.removeprefix('/')) + 1 :]}"
        here.makedirs(name.rpartition("/")[0], exist_ok=True)
        here.pipe_file(name, there.cat_file(path))
    return len(paths)
