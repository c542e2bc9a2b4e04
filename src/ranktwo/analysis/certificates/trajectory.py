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
        "r = `steps_before` B: the rank that V's last steps alone can have added; null if earlier gradients count, "
        "and in nets but the mlp, where a sample's gradient may have more than rank one.",
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
    cells = [record.cell for record in records]
    plain = [number for number, cell in enumerate(cells) if is_plain_descent(cell) and not why_shared(cell)]
    for number in plain:
        eta, mu, batch_size = (cells[number][axis] for axis in ("learning_rate", "weight_decay", "batch_size"))
        if cells[number]["schedule"] == CONSTANT:
            rank = memory_rank(TOLERANCE, learning_rate=eta, weight_decay=mu, batch_size=batch_size)
            result["memory_rank"][number] = rank
    before: dict[int, float] = {}
    for number in plain:
        norm, steps = (records[number].history[name][snapshot] for name in ("norm_before", "steps_before"))
        if norm is not None and steps:
            before[number], lag = norm, int(steps)  # one lag for the whole stack: batch size and V's shape determine it
    if not before:
        return result
    known = list(before)
    v = [records[number].weights["V"][snapshot].double() for number in known]
    t = np.arange(records[0].steps[snapshot] - lag, records[0].steps[snapshot])
    rates = [
        cell["learning_rate"] * schedule_factor(cell["schedule"], t, cell["steps"])
        for cell in (cells[number] for number in known)
    ]
    norms = [[first, float(frobenius(last))] for first, last in zip(before.values(), v, strict=True)]
    bounds = trajectory_bound(
        torch.tensor(norms, dtype=torch.float64),
        [0, lag],
        learning_rates=torch.from_numpy(np.stack(rates)),
        weight_decay=torch.tensor([cells[number]["weight_decay"] for number in known], dtype=torch.float64),
        batch_size=cells[known[0]]["batch_size"],
        max_rank=min(v[0].shape),
    )
    for name in ("rank", "bound", "against_generic"):
        result[f"trajectory_{name}"][known] = bounds[name][:, 1]
    return result


def trajectory_bound(
    norms: Tensor, steps: list[int], *, learning_rates: Tensor, weight_decay: Tensor, batch_size: int, max_rank: int
) -> dict[str, Tensor]:
    """What the steps before each snapshot T say about the rank of V there: [K, S] float64 tensors, nan where nothing.

    A step of plain SGD is V <- (1 - eta mu) V - eta (mean of B matrices of rank one). So, from any earlier t,

        d_r(V_T) <= prod_{s=t}^{T-1} |1 - eta_s mu| ||V_t||,   r = (T - t) B        (Galanti et al., arXiv 2206.05794)

    This holds for any schedule and at any T. It does not hold for momentum or Adam, whose updates remember more than B
    samples. It needs ||V_t|| at a recorded t with r < q, that is norms recorded within q/B steps before a snapshot.
    Any matrix at all has d_r <= sqrt(1 - r/q) ||V||, as the r largest of q squares are dropped. Only a bound under that
    says something, which for steady norms needs about eta mu > B/(2q). That is rare: eta mu > 1/8 for q = 64, B = 16.

    `rank` r and `bound`, relative to ||V_T||, are those of the t whose bound is smallest against the generic
    sqrt(1 - r/q); `against_generic` is that ratio: from 1 on nothing is said. `nontrivial_rank` is the smallest r whose
    ratio is under 1.

    norms ||V_t|| [K, S] at increasing `steps`; learning_rates eta_s [K, T] or [T] for s = 0, ..., T - 1; weight_decay
    [K]; max_rank q = min(m, n).
    """
    norms = norms.double()
    logs = (1 - learning_rates.double() * weight_decay.double()[:, None]).abs().clamp_min(1e-300).log()
    total = torch.cat([torch.zeros_like(logs[:, :1]), logs.cumsum(1)], 1)[:, steps]
    best = {name: torch.full_like(norms, math.nan) for name in ("rank", "bound", "against_generic", "nontrivial_rank")}
    best["against_generic"].fill_(math.inf)
    for end in range(len(steps)):
        for start in reversed(range(end)):
            rank = (steps[end] - steps[start]) * batch_size
            if rank >= max_rank:
                break
            bound = (total[:, end] - total[:, start]).exp() * norms[:, start] / norms[:, end]
            ratio = bound / math.sqrt(1 - rank / max_rank)
            better = ratio < best["against_generic"][:, end]
            for name, value in (("rank", float(rank)), ("bound", bound), ("against_generic", ratio)):
                best[name][:, end] = torch.where(better, value, best[name][:, end])
            first = best["nontrivial_rank"][:, end].isnan() & (ratio < 1)
            best["nontrivial_rank"][:, end] = torch.where(first, float(rank), best["nontrivial_rank"][:, end])
    best["against_generic"] = torch.where(best["against_generic"].isfinite(), best["against_generic"], math.nan)
    return best


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
