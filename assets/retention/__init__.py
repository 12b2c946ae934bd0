"""Retention: which runs go after a time, what stays of them, and who may not go.

`rules` says which runs go, `choosing` which those are now, `pins` which never do, `retire` lets them go.
A run that went this way is *retired*: an *outline* of it stays, and everything that is counted over
time (problems, trends, daily summaries) counts it as before. `outlines` reads runs and outlines together.
"""
