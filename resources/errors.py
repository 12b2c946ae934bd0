"""What can go wrong, as one tree.

    IssuelakeError
    ├── UsageError            the request itself is wrong (exit code 2)
    │   ├── ConfigError       a configuration file, key or variable
    │   └── QueryError        a filter or an SQL statement
    ├── StorageError          the storage refused or could not be reached
    │   └── Vanished          a listed file was gone when it was opened: list again
    ├── EngineError           a cluster could not be reached, or did not do what it was given
    └── LimitExceeded         a row, size or time limit that the caller can raise

Every message is one sentence that says what happened, where, and what to do next.
"""


class IssuelakeError(Exception):
    """The root of everything raised on purpose."""


class UsageError(IssuelakeError):
    """The request cannot be carried out as it was put."""


class ConfigError(UsageError):
    """A configuration file, key or environment variable is wrong or missing."""


class QueryError(UsageError):
    """A filter or an SQL statement is not one that is let through."""


class StorageError(IssuelakeError):
    """The storage refused a call or could not be reached."""


class Vanished(StorageError):
    """A file that was listed has gone since; a reader lists again and goes on."""


class EngineError(IssuelakeError):
    """The engine that the work was spread over could not be reached, or gave it up."""


class LimitExceeded(IssuelakeError):
    """A limit that the caller can raise was reached."""
