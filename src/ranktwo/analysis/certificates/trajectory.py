"""Bounds on the rank of V from the path that training took to it, for optimizers that keep no earlier gradient."""

import math

import numpy as np
import torch
from torch import Tensor

from ranktwo.analysis.certificates.passes import frobenius
from ranktwo.analysis.updates import is_plain_descent
from ranktwo.store.columns import REAL, column
from ranktwo.store.records import Record
from ranktwo.study.axes import CONSTANT
from ranktwo.study.schedules import schedule_factor
from ranktwo.study.theory import why_shared

TOLERANCE = 1e-2
"""e of the column `memory_rank`."""
COLUMNS = {
    "trajectory_rank": column(
        REAL,
        "r = `steps_before` B: the rank that V's last steps alone can have added; null unless steps are those of plain "
        "SGD with one decay for all samples, and in nets but the mlp, where a sample's gradient may be of higher rank.",
    ),
    "trajectory_bound": column(
        REAL, "prod |1 - eta_s mu| ||V_before||/||V||: at least d_r/||V|| (Galanti et al., 2206.05794)."
    ),
    "trajectory_against_generic": column(
        REAL, "`trajectory_bound` over sqrt(1 - r/q), which holds of any matrix: from 1 on, nothing."
    ),
    "memory_rank": column(
        REAL,
        "B ceil(ln(2/e)/-ln|1 - eta mu|), e = 0.01: B times the steps in which decay leaves at most e/2 of V; near "
        "Galanti et al.'s B ln(2/e)/(eta mu), and says something below q. Null unless 0 < eta mu < 2, eta constant.",
        headline=True,
    ),
}


def trajectory_columns(records: list[Record], snapshot: int) -> dict[str, Tensor]:
    """The values of COLUMNS for V at a snapshot of a stack's cells, [K] float64 each, nan where undefined.

    `trajectory_bound` is taken from the norm that was recorded `steps_before` steps before the snapshot.
    """
    result = {name: torch.full((len(records),), math.nan, dtype=torch.float64) for name in COLUMNS}
    for number, record in enumerate(records):
        cell = record.cell
        if not is_plain_descent(cell) or why_shared(cell):
            continue
        settings = {axis: cell[axis] for axis in ("weight_decay", "batch_size")}
        if cell["schedule"] == CONSTANT:
            rank = memory_rank(TOLERANCE, learning_rate=cell["learning_rate"], **settings)
            result["memory_rank"][number] = rank
        before, lag = (record.history[name][snapshot] for name in ("norm_before", "steps_before"))
        if before is None or not lag:
            continue
        v, end = record.weights["V"][snapshot].double(), record.steps[snapshot]
        rates = cell["learning_rate"] * schedule_factor(cell["schedule"], np.arange(end - int(lag), end), cell["steps"])
        norms = torch.tensor(before, dtype=torch.float64), frobenius(v)
        found = trajectory_bound(*norms, learning_rates=torch.from_numpy(rates), max_rank=min(v.shape), **settings)
        for name, value in found.items():
            result[f"trajectory_{name}"][number] = value
    return result


def trajectory_bound(
    before: Tensor, after: Tensor, *, learning_rates: Tensor, weight_decay: float, batch_size: int, max_rank: int
) -> dict[str, float]:
    """What the steps from t to T, of these learning rates, say about the rank of V at T; nothing if r >= q.

    A step of plain SGD is V <- (1 - eta mu) V - eta (mean of B matrices of rank one). So, from any earlier t,

        d_r(V_T) <= prod_{s=t}^{T-1} |1 - eta_s mu| ||V_t||,   r = (T - t) B        (Galanti et al., arXiv 2206.05794)

    This holds for any schedule and at any T. It does not hold for momentum or Adam, whose updates remember more than B
    samples. It needs ||V_t|| at a recorded t with r < q, that is norms recorded within q/B steps before a snapshot.
    Any matrix at all has d_r <= sqrt(1 - r/q) ||V||, as the r largest of q squares are dropped. Only a bound under that
    says something, which for steady norms needs about eta mu > B/(2q). That is rare: eta mu > 1/8 for q = 64, B = 16.

    `rank` is r, `bound` is relative to ||V_T||, and `against_generic` is its ratio to sqrt(1 - r/q): from 1 on nothing
    is said. before ||V_t||, after ||V_T||; max_rank q = min(m, n).
    """
    rank = len(learning_rates) * batch_size
    if rank >= max_rank:
        return {}
    logs = (1 - learning_rates * weight_decay).abs().clamp_min(1e-300).log()
    bound = float(logs.cumsum(0)[-1].exp() * before / after)  # added step by step, whatever the machine
    if not math.isfinite(bound):
        return {}
    return {"rank": rank, "bound": bound, "against_generic": bound / math.sqrt(1 - rank / max_rank)}


def memory_rank(tolerance: float, *, learning_rate: float, weight_decay: float, batch_size: int) -> float:
    """B ceil(ln(2/e) / -ln|1 - eta mu|), e the tolerance: some matrix of this rank is within e ||V_T|| of V_T.

    This needs norms that have settled: from `trajectory_bound` with ||V_t|| <= 2 ||V_T||, |1 - eta mu|^(T-t) <= e/2
    suffices. The rank is about B ln(2/e)/(eta mu) in torch's convention, penalty mu/2 ||V||^2. Galanti et al. (arXiv
    2206.05794) penalise lambda ||V||^2, so mu = 2 lambda and the same number reads B ln(2/e)/(2 eta lambda). It says
    something only if it is under q. One step suffices at eta mu = 1. Nan unless
    0 < eta mu < 2: elsewhere decay leaves all of V_t.
    """
    shrink = learning_rate * weight_decay
    if not 0 < shrink < 2:
        return math.nan
    if shrink == 1:
        return float(batch_size)
    log = math.log1p(-shrink) if shrink < 1 else math.log(shrink - 1)
    return float(batch_size * math.ceil(math.log(2 / tolerance) / -log))
