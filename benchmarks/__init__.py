"""How fast, how small, how large: every promise about speed, measured against its named peer.

`make bench` (or `python -m benchmarks`) measures everything and writes `RESULTS.md`;
`python -m benchmarks --quick` only shows that all of it works. See `--help`.
"""
