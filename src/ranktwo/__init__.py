"""Does weight decay make weight matrices low rank, and is that why neural networks generalize?"""

__version__ = "0.1.0"

import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

# While the modules of `python -m ranktwo.<stage>` load, Ctrl-C ends it without a traceback; then errors.run takes over.
if sys.argv[:1] == ["-m"]:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def measure(matrix: Any) -> "pandas.Series":
    """Norms, ranks by every rule and residuals of a matrix, an array or a tensor; the columns of docs/columns.md."""
    from ranktwo.analysis import measured  # PyTorch takes seconds

    return measured.measure(matrix)
