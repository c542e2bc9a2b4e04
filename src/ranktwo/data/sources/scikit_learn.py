"""What the data sets share that scikit-learn brings along: they need no file and no network."""

import numpy as np

from ranktwo.data.sources.base import Raw, declared
from ranktwo.errors import UserError


def bundled(name: str, x: np.ndarray, y: np.ndarray) -> Raw:
    """The arrays of a source, x [N, n] and y [N]; UserError if their shape is not the declared one."""
    facts = declared(name)
    if x.shape != (*facts.rows, facts.columns):
        raise UserError(f"the {name} data of this scikit-learn are not the known ones; install another release of it")
    assert facts.kind is not None, f"{name} declares no kind"
    return Raw(kind=facts.kind, train_x=x, train_y=y, verified="structure")
