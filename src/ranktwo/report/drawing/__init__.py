"""How figures are drawn: the data that they read, their panels, axes, colours and marks, and the files written."""

import os

# Matplotlib reads these once, at its first import, and an invalid backend or an unreadable matplotlibrc stops that
# import. The user's settings are for the user's own figures: none is read, and no window is needed.
os.environ.update(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull)
