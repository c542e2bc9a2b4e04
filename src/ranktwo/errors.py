"""What a user did wrong or the machine refused, said in one sentence."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """One sentence for a person: what is wrong, where, and what to do about it."""


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`; a UserError becomes its sentence on standard error and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"ranktwo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
