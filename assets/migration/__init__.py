"""Copying or moving everything from one storage to another, whatever the two are.

Days are copied in portions: what the target lacks of a portion is appended as copies, which keep
their moment of storing, and then the target is read again and compared, run by run. So whoever was
killed begins again, finds the portions that agree, and goes on. Runs go first, then the records of
deletions, which hide what was deleted on either side meanwhile. What changes in the source during
all this is seen in the versions of its days, and copied in another round.
"""

from assets.migration.comparing import Amount, NotTheSame
from assets.migration.moving import MOVED_TO
from assets.migration.rounds import Migrated, Progress, migrate

__all__ = ["MOVED_TO", "Amount", "Migrated", "NotTheSame", "Progress", "migrate"]
