"""L-BFGS: a local minimum of a smooth function of many numbers (Liu & Nocedal 1989; Byrd, Nocedal & Schnabel 1994).

SciPy's L-BFGS-B takes as long again as the functions that this project minimises, for bounds that these do not have,
and PyTorch's spends 1.5 s to set itself up in every process.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Function = Callable[[Tensor], tuple[float, Tensor]]
"""The value and the gradient [P] at a point [P]."""
PAIRS = 20
"""Steps, with the changes of the gradient along them, that are remembered."""
FALL, CURVE = 1e-4, 0.9
"""Constants of the weak Wolfe conditions."""
TRIALS = 25
"""Most lengths of a step that are tried."""


class _Pairs:
    """The last steps s and gradient changes y, oldest first, with the products among them."""

    def __init__(self, size: int, like: Tensor) -> None:
        self._count = 0
        # Twice as many rows as are remembered: they are moved to the front only when the rows are full.
        self._s, self._y = (like.new_empty(2 * PAIRS, size) for _ in range(2))
        self._sy, self._yy = (like.new_zeros(2 * PAIRS, 2 * PAIRS) for _ in range(2))

    def add(self, s: Tensor, y: Tensor) -> None:
        """Remember a step, unless the function does not curve upwards along it."""
        if not s @ y > 1e-12 * (y @ y):
            return
        if self._count == 2 * PAIRS:
            for rows in (self._s, self._y):
                rows[: PAIRS - 1] = rows[PAIRS + 1 :].clone()
            for products in (self._sy, self._yy):
                products[: PAIRS - 1, : PAIRS - 1] = products[PAIRS + 1 :, PAIRS + 1 :].clone()
            self._count = PAIRS - 1
        last, known = self._count, slice(max(0, self._count + 1 - PAIRS), self._count + 1)
        self._s[last], self._y[last] = s, y
        self._sy[known, last] = self._s[known] @ y
        self._yy[known, last] = self._yy[last, known] = self._y[known] @ y
        self._count += 1

    def direction(self, gradient: Tensor) -> Tensor:
        """-H g, H the approximate inverse of the second derivatives."""
        known = slice(max(0, self._count - PAIRS), self._count)
        if not self._count:
            return -gradient / torch.linalg.vector_norm(gradient).clamp(min=1)
        s, y, sy, yy = self._s[known], self._y[known], self._sy[known, known], self._yy[known, known]
        upper, curvature = sy.triu(), sy.diagonal()
        scale = curvature[-1] / yy[-1, -1]
        a = torch.linalg.solve_triangular(upper, (s @ gradient)[:, None], upper=True)
        b = curvature[:, None] * a + scale * (yy @ a - (y @ gradient)[:, None])
        b = torch.linalg.solve_triangular(upper.T, b, upper=False)
        return scale * (a[:, 0] @ y - gradient) - b[:, 0] @ s


class End(NamedTuple):
    """Where a descent ended."""

    point: Tensor
    value: float
    steps: int


def minimise(function: Function, point: Tensor, *, steps: int, tolerance: float) -> End:
    """Descend from a point [P] for at most so many steps; end where one gains less than the share `tolerance`.

    A step ends where the weak Wolfe conditions hold, found by bisection, which kinks do not mislead.
    """
    value, gradient = function(point)
    pairs = _Pairs(len(point), point)
    for count in range(1, steps + 1):
        direction = pairs.direction(gradient)
        slope = (gradient @ direction).item()
        if not slope < 0:
            return End(point, value, count)
        short, long, length = 0.0, float("inf"), 1.0
        for _ in range(TRIALS):
            trial = point + length * direction
            then, new = function(trial)
            if not then <= value + FALL * length * slope:
                long = length
            elif (new @ direction).item() < CURVE * slope:
                short = length
            else:
                break
            length = (short + long) / 2 if long < float("inf") else 2 * length
        gain = value - then
        if not gain > 0:
            return End(point, value, count)
        pairs.add(trial - point, new - gradient)
        point, value, gradient = trial, then, new
        if gain <= tolerance * abs(value):
            break
    return End(point, value, count)
