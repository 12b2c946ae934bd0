"""The assets and their checks as Dagster sees them: thin shells around the modules of `assets`."""

import warnings

from dagster import BetaWarning

# Dagster may change how this is called; the tests would show it, and until then nobody needs to read
# of it in every run's log.
warnings.filterwarnings("ignore", ".* `observable_source_asset` ", BetaWarning)
