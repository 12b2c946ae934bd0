"""Run files, read to the letter: bytes in, runs and rejections out.

`split` takes a file apart into the runs it delivers; a `Shape` reads one of them, by the short way
(`quick`) where that can be vouched for and by the long one (`exact`) where not.
"""

from resources.contract.content import content_hash, content_hashes
from resources.contract.exact import parse_json, read_exactly, shown
from resources.contract.files import RUN_FILE_SUFFIXES, UTF8_BOM, split, split_again
from resources.contract.model import (
    DEFAULT_MAX_FILE_BYTES,
    MAX_DEPTH,
    ContractError,
    Delivery,
    Issue,
    ReadRun,
    Rejection,
    Run,
    UnreadRun,
)
from resources.contract.quick import (
    BARE,
    NOT_DECODED,
    Shape,
    may_hide_colons,
    parse_timestamp,
)

__all__ = [
    "BARE",
    "DEFAULT_MAX_FILE_BYTES",
    "MAX_DEPTH",
    "NOT_DECODED",
    "RUN_FILE_SUFFIXES",
    "UTF8_BOM",
    "ContractError",
    "Delivery",
    "Issue",
    "ReadRun",
    "Rejection",
    "Run",
    "Shape",
    "UnreadRun",
    "content_hash",
    "content_hashes",
    "may_hide_colons",
    "parse_json",
    "parse_timestamp",
    "read_exactly",
    "shown",
    "split",
    "split_again",
]
