"""How far a two-layer net is from the least value that its decayed loss can have: the duality gap, at any weights.

For f(x) = U relu(V x) with decay mu > 0 on both matrices, the decayed loss is
P = (1/N) sum_i l_i(f(x_i)) + mu/2 (||V||^2 + ||U||^2). As mu/2 (||v_j||^2 + ||u_j||^2) >= mu ||u_j|| ||v_j||, its least
value P* over nets of any width is that of a convex problem, over weights c_v [c] of the atoms relu(v.x), ||v|| = 1:

    P* = min over c of (1/N) sum_i l_i(sum_v c_v relu(v.x_i)) + mu sum_v ||c_v||

(Rosset et al. 2007; Bach 2017; Pilanci & Ergen 2020). Its dual is the maximum of -(1/N) sum_i l_i*(a_i) over a with
h_a = max over ||v|| = 1 of ||(1/N) sum_i a_i relu(v.x_i)|| <= mu, l* the conjugate of l. With e_i = dl_i/df at the net,
a = s e is feasible for s = min(1, mu/h_e), which gives the gap P - P* <= P + (1/N) sum_i l_i*(s e_i).

Shapes: K nets, N samples, m hidden units, c outputs; outputs and derivatives [K, N, c], targets [N, c] or [K, N, c].
"""

import torch
from torch import Tensor

from ranktwo.nets.losses import Task

LIVE = 1e-6
"""Neurons with ||u_j|| ||v_j|| of at most this share of the net's greatest are left out where only live ones count."""


def conjugates(a: Tensor, targets: Tensor, task: Task) -> Tensor:
    """l_i*(a_i) = sup_f (a_i.f - l_i(f)) of every sample, [K, N], from a [K, N, c].

    a.y + (c/4) ||a||^2; p ln p + (1-p) ln(1-p) with p = a + y; sum_k p_k ln p_k with p = a + y; 0 ln 0 = 0. Finite for
    a = s dl_i/df with 0 <= s <= 1, where each p lies in [0, 1].
    """
    if task == "regression":
        return (a * targets).sum(-1) + a.shape[-1] / 4 * a.square().sum(-1)
    p = (a + targets).clamp(0, 1)
    if task == "binary":
        p = torch.cat([p, 1 - p], dim=-1)
    return torch.xlogy(p, p).sum(-1)


def duality_gap(
    objective: Tensor, derivatives: Tensor, targets: Tensor, task: Task, height: Tensor, weight_decay: Tensor
) -> Tensor:
    """P + (1/N) sum_i l_i*(s e_i) with s = min(1, mu/h), [K]: an upper bound of P - P*.

    objective P [K], derivatives e_i [K, N, c], height h = max h_e [K], weight_decay mu [K]. Never negative but by
    rounding. A height that is too low, as of a search that missed the maximum, makes it too small.
    """
    scale = (weight_decay / height).clamp(max=1)  # 1 where h = 0
    return objective + conjugates(scale[:, None, None] * derivatives, targets, task).mean(1)


def live_neurons(v: Tensor, u: Tensor) -> Tensor:
    """Which neurons have ||u_j|| ||v_j|| above the share LIVE of the net's greatest, bool [K, m]. u is [K, c, m]."""
    weight = torch.linalg.vector_norm(v, dim=2) * torch.linalg.vector_norm(u, dim=1)
    return weight > LIVE * weight.amax(1, keepdim=True)


def imbalance(v: Tensor, u: Tensor) -> Tensor:
    """max over live neurons of | ||v_j||^2 - ||u_j||^2 | / (||v_j||^2 + ||u_j||^2), [K]; nan if none is live.

    With G_V and G_U the gradients of P, <row j of G_V, v_j> - <column j of G_U, u_j> = mu (||v_j||^2 - ||u_j||^2)
    at any weights, as f is as homogeneous in v_j as in u_j. So it is 0 wherever P is stationary.
    """
    first, second = v.square().sum(2), u.square().sum(1)
    share = (first - second).abs() / (first + second)
    live = live_neurons(v, u)
    return torch.where(live.any(1), torch.where(live, share, 0.0).amax(1), torch.nan)
