"""SARIF 2.1.0, the format of static analysis results, read into runs as the contract has them.

`log` takes a file apart into its runs, `run` and `results` say what becomes of each, `rules`,
`messages` and `paths` look up what a result only points at. docs/sarif.md has the mapping.
"""

from resources.contract.sarif.log import runs_of

__all__ = ["runs_of"]
