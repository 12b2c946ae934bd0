"""Vega, Vega-Lite and vega-embed, as one script that vl-convert brings along."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache


def prepare() -> None:
    """Begin to put the script together, aside."""
    _begun()


def script() -> str:
    """The script; it sets `window.vegaEmbed`."""
    return _begun().result()


@cache
def _begun() -> Future[str]:
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(_bundle)
    finally:
        pool.shutdown(wait=False)


def _bundle() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle
