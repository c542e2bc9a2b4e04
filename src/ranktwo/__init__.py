"""Does weight decay make weight matrices low rank, and is that why neural networks generalize?"""

__version__ = "0.1.0"

import signal
import sys

# While the modules of `python -m ranktwo.<stage>` load, Ctrl-C ends it without a traceback; then errors.run takes over.
if sys.argv[:1] == ["-m"]:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
