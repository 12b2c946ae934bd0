"""Dagster's work on a cluster: in the run itself over Dask, launched through Pipes over Spark Connect."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions.problems import problems
from assets.definitions.trends import trends
from pipelines.jobs import maintenance
from resources.dagster_resources import LakeResource
from tests.test_dagster import BROKEN, World

pytestmark = [  # Dagster about itself
    pytest.mark.filterwarnings("ignore:Property `OpDefinition.version` is deprecated"),
    pytest.mark.filterwarnings("ignore:Function `PipesMessageReader.expected_writer_count`"),
]

DAY = date(2025, 8, 29)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield World(tmp_path, instance)


@pytest.mark.parametrize("engine", ["dask", "sail"])
def test_what_is_waiting_is_ingested_compacted_and_followed(
    engine: str, world: World, request: pytest.FixtureRequest
) -> None:
    address = (
        request.getfixturevalue("cluster").address if engine == "dask" else request.getfixturevalue("sail")
    )
    world.resource = LakeResource(storage=str(world.folder), inbox=str(world.inbox), engine=address)
    for number in range(3):
        world.drop(f"r{number}", DAY, ["high", "low"])
    (world.inbox / "broken.json").write_bytes(BROKEN.read_bytes())

    told = world.ingest().asset_materializations_for_node("batches")
    [materialized] = [each for each in told if each.asset_key == dg.AssetKey("batches")]
    metadata = {name: value.value for name, value in materialized.metadata.items()}
    assert (metadata["runs_stored"], metadata["issues"], metadata["rejected"]) == (3, 6, 1)
    assert "severity" in metadata["rejections"][0]
    assert list(world.inbox.iterdir()) == []
    assert world.reported("issues") == {str(DAY): 6}

    world.drop("r4", DAY, ["high"])
    world.ingest()
    assert len(list(world.folder.glob("runs/*/*.parquet"))) == 2
    assert world.execute(maintenance).success
    assert len(list(world.folder.glob("runs/*/*.parquet"))) == 3  # the old ones stay for an hour
    [found] = world.materialize([problems]).asset_materializations_for_node("problems")
    assert found.metadata["dagster/row_count"].value == 2
    assert found.metadata["last_day"].value == str(DAY)
    made = world.materialize([trends]).asset_materializations_for_node("trends")
    assert [m.asset_key.to_user_string() for m in made] == ["daily_trend", "weekly_trend", "monthly_trend"]


def test_what_goes_wrong_in_a_launched_process_is_told_in_its_sentence(world: World) -> None:
    """An address that nobody listens at is what a retry may mend; a configuration that cannot be is not."""
    world.drop("r1", DAY)
    resource = LakeResource(storage=str(world.folder), inbox=str(world.inbox), engine="sc://")
    result = world.ingest(resource=resource, raise_on_error=False)
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "sc:// is not an engine; known are" in str(failed.step_failure_data.error)
    assert [event for event in result.all_events if event.is_step_up_for_retry] == []
    assert len(list(world.inbox.iterdir())) == 1
