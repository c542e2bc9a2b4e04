"""Ways to take training steps: compiled code for a CPU, a kernel for a GPU, and torch's operations for the rest."""

import os

# numba reads these once, at its first import. Some of them stop it, and others change the code and so the last bits of
# a net. They are for the user's own functions; only the folder that keeps compiled code is the user's choice here too.
for _name in [name for name in os.environ if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR"]:
    del os.environ[_name]
