"""What the shells share: retries, errors that no retry mends, metadata, small pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dagster import Backoff, Failure, Jitter, MetadataValue, RetryPolicy

from assets.summary import CountsDisagree
from resources.errors import UsageError

RETRIES = RetryPolicy(max_retries=3, delay=2, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)
"""For whatever crosses a network: waits of about 2, 4 and 8 seconds."""

PICTURE_ROWS = 30


@contextmanager
def no_retry_for_mistakes() -> Iterator[None]:
    """Errors that come back however often one tries fail at once, with their one sentence."""
    try:
        yield
    except (UsageError, CountsDisagree) as error:
        raise Failure(str(error), allow_retries=False) from error


def bars(values: Mapping[str, int], width: int = 24) -> MetadataValue:
    """A bar for each value, as Markdown; the longest is `width` wide."""
    most = max(values.values(), default=0)
    rows = [(name, f"`{_bar(value, most, width)}` {value:,}") for name, value in values.items()]
    return table(("", ""), rows)


def image(svg: str, says: str) -> MetadataValue:
    """A picture, as Markdown; `says` is for those who do not see it."""
    data = b64encode(svg.encode()).decode()
    return MetadataValue.md(f"![{says}](data:image/svg+xml;base64,{data})")


def place(url: str, path: str) -> MetadataValue:
    """Where `path` of the storage at `url` is: a path on this machine, or a URL."""
    whole = f"{url.rstrip('/')}/{path}"
    return MetadataValue.url(whole) if "://" in whole else MetadataValue.path(whole)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> MetadataValue:
    """A Markdown table of the first `PICTURE_ROWS` rows."""
    lines = [_row(heads), _row(["---"] * len(heads))]
    every = list(rows)
    lines += [_row(row) for row in every[:PICTURE_ROWS]]
    if len(every) > PICTURE_ROWS:
        lines.append(f"\n… and {len(every) - PICTURE_ROWS} more")
    return MetadataValue.md("\n".join(lines))


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '∣') for cell in cells)} |"


def _bar(value: int, most: int, width: int) -> str:
    """`value` out of `most` in eighths of a block."""
    eighths = round(value * width * 8 / most) if most else 0
    full, rest = divmod(max(eighths, 1 if value else 0), 8)
    return "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest] or "·"
