"""The command `issuelake`."""

from __future__ import annotations

import sys

from resources.errors import IssuelakeError, UsageError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line; errors end in one sentence and an exit code, never in a traceback."""
    from pipelines.cli.app import app

    try:
        app(prog_name="issuelake")
    except IssuelakeError as error:
        _report(str(error))
        sys.exit(USAGE if isinstance(error, UsageError) else FAILED)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        # Only where a storage was opened is there anything to tell.
        if (opening := sys.modules.get("pipelines.cli.opening")) is not None:
            opening.tell_what_was_passed_over()


def _report(message: str) -> None:
    from pipelines.cli.output import print_json, safe

    if "--json" in sys.argv:
        print_json({"success": False, "error": message})
    else:
        print(f"issuelake: {safe(message)}", file=sys.stderr)
