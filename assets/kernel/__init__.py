"""The ingest kernel: deliveries in, Arrow tables of runs and issues and a list of rejections out.

It knows no storage and no engine, so anything that can map a function over chunks of deliveries
can run it. A run is decoded but for its issues; an issue whose bytes were met before is known by
its number, the others are decoded together. A count of colons proves run by run that no key was
lost, and only a run that cannot be vouched for takes the long way.
"""

from __future__ import annotations

from collections.abc import Sequence

from assets.kernel.builder import Builder
from assets.kernel.chunk import Chunk
from resources.contract import Delivery

__all__ = ["Builder", "Chunk", "build"]


def build(deliveries: Sequence[Delivery]) -> Chunk:
    """Read `deliveries`; a run without an id or a timestamp is given one."""
    builder = Builder()
    builder.add(deliveries)
    return builder.finish()
