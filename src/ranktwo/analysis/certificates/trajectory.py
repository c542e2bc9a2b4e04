"""TODO analysis.certificates.trajectory."""

import math

import torch
from torch import Tensor


def trajectory_bound(
    norms: Tensor, steps: list[int], *, learning_rates: Tensor, weight_decay: Tensor, batch_size: int, max_rank: int
) -> dict[str, Tensor]:
    """What the steps before each snapshot T say about its rank; a dict of [K, S] float64 tensors, nan where nothing.

    A step of plain SGD is V <- (1 - eta mu) V - eta (mean of B matrices of rank one), so from any earlier t

        d_r(V_T) <= prod_{s=t}^{T-1} |1 - eta_s mu| ||V_t||,   r = (T - t) B        (Galanti et al., arXiv 2206.05794)

    Sound for any schedule and at any T, not for momentum or Adam, whose updates remember more than B samples. It needs
    ||V_t|| at a recorded t with r < q: record norms within q/B steps before a snapshot, or there is nothing to say.
    Any matrix at all has d_r <= sqrt(1 - r/q) ||V||, as the r largest of q squares are dropped; only a bound under that
    says something, which for steady norms needs about eta mu > B/(2q): rarely met (q = 64, B = 16: eta mu > 1/8).

    "rank" r and "bound", relative to ||V_T||, of the t that is smallest against the generic sqrt(1 - r/q), and that
    ratio, "against_generic": from 1 on nothing is said. "nontrivial_rank": the smallest r whose ratio is under 1.

    norms ||V_t|| [K, S] at increasing `steps`; learning_rates eta_s [K, T] or [T] for s = 0, ..., T - 1; weight_decay
    [K]; max_rank q = min(m, n).
    """
    norms = norms.double()
    logs = (1 - learning_rates.double() * weight_decay.double()[:, None]).abs().clamp_min(1e-300).log()
    total = torch.cat([torch.zeros_like(logs[:, :1]), logs.cumsum(1)], 1)[:, steps]
    best = {name: torch.full_like(norms, math.nan) for name in ("rank", "bound", "against_generic", "nontrivial_rank")}
    best["against_generic"].fill_(math.inf)
    for now in range(len(steps)):
        for before in reversed(range(now)):
            rank = (steps[now] - steps[before]) * batch_size
            if rank >= max_rank:
                break
            bound = (total[:, now] - total[:, before]).exp() * norms[:, before] / norms[:, now]
            ratio = bound / math.sqrt(1 - rank / max_rank)
            better = ratio < best["against_generic"][:, now]
            for name, value in (("rank", float(rank)), ("bound", bound), ("against_generic", ratio)):
                best[name][:, now] = torch.where(better, value, best[name][:, now])
            first = best["nontrivial_rank"][:, now].isnan() & (ratio < 1)
            best["nontrivial_rank"][:, now] = torch.where(first, float(rank), best["nontrivial_rank"][:, now])
    best["against_generic"] = torch.where(best["against_generic"].isfinite(), best["against_generic"], math.nan)
    return best


def memory_rank(tolerance: float, *, learning_rate: float, weight_decay: float, batch_size: int) -> float:
    """B ceil(ln(2/e) / -ln(1 - eta mu)): a rank that comes within e ||V_T|| of V_T once norms have settled.

    From `trajectory_bound` with ||V_t|| <= 2 ||V_T||: (1 - eta mu)^(T-t) <= e/2 suffices. About B ln(2/e)/(eta mu) in
    torch's convention, penalty mu/2 ||V||^2; Galanti et al. (arXiv 2206.05794) penalise lambda ||V||^2, so
    mu = 2 lambda and the same number reads B ln(2/e)/(2 eta lambda). It says something only if under q. nan at mu = 0;
    needs eta mu <= 1.
    """
    shrink = learning_rate * weight_decay
    if shrink == 0:
        return math.nan
    return float(batch_size * (math.ceil(math.log(2 / tolerance) / -math.log1p(-shrink)) if shrink < 1 else 1))
