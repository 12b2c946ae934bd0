# SPDX-License-Identifier: MIT
"""PlugPipe's way in: everything is done by the installed package `issuelake`."""

from issuelake import process

__all__ = ["process"]
