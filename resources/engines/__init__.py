"""Where the work on a lake is done: in this process, or spread over the workers of a cluster.

`Engine.map` is the one seam. What is spread is a function of the module that it stands in, and a
list of tasks; what comes back is what each returned, in the order of the tasks, each once, however
often an engine had to run one. So a task may be run twice, or half and then again, and must be
harmless then: it publishes files that are named by their content, and what counts is done by the
process that called `map`.
"""

from resources.engines.model import LOCAL, Engine, Local
from resources.engines.opening import known, open_engine

__all__ = ["LOCAL", "Engine", "Local", "known", "open_engine"]
