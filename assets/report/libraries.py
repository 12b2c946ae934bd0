"""Vega, Vega-Lite and vega-embed, as one script that vl-convert brings along."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib import import_module
from threading import Thread


def prepare() -> None:
    """Begin to put the script together, and to import Altair: aside, since each takes a second or two."""
    _begun()
    Thread(target=import_module, args=("altair",), daemon=True).start()


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
