"""The least decayed loss of two-layer nets of any width, found from the data alone, and the net that has it.

P* is the least (1/N) sum_i l_i(sum_j t_j relu(v_j.x_i) d_j) + mu sum_j t_j over atoms with ||v_j|| = ||d_j|| = 1 and
t_j >= 0, as in `duality`. Its balanced net has rows sqrt(t_j) v_j in V and columns sqrt(t_j) d_j in U.

A round has four parts. The weights t_j of the atoms at hand are made the best, which drops atoms. All of V and U slide
downhill together. The weights are made the best again. Then the dual function is searched: its maximum gives the gap,
and its local maxima above mu become atoms. Rounds end when the gap is small. It is small only if a search from random
points says so that no search started from before. A path of decays goes down, and each decay starts from the atoms of
the last.

Shapes: N samples, n inputs, c outputs, a atoms; all float64.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ranktwo.analysis.optimum import certificate, descent
from ranktwo.analysis.optimum.certificate import Grid
from ranktwo.analysis.optimum.search import Effort
from ranktwo.analysis.optimum.weights import best_weights
from ranktwo.nets import losses, mlp
from ranktwo.nets.losses import Task

TOLERANCE = 1e-3
"""Relative gap at which rounds end."""
ROUNDS = 30
"""Most rounds for one decay."""
SLIDES = 200
"""Most steps that V and U slide together in one round."""
SLIDE = 1e-4
"""Gain of a step, over P and the relative gap that is sought, at which the slide ends."""
SOUGHT = 0.1
"""Share of the last round's relative gap that a round seeks, as long as this is more than what ends the rounds."""
STARTS, FEW = 16, 64
"""Starts of a search: of the points where the last one ended, besides the atoms; and of the grid."""
RANDOM, NUMBERS = (128, 1500), 3 * 2**23
"""Least and most random points in the last search of a round, and numbers of their product with x between the two."""
FIRST = 8
"""How many times fewer they are in its first search."""
QUICK = Effort(kept=32, steps=20, round=10, polished=False)
LAST = Effort(kept=64, steps=30)
"""How hard the first search of a round tries, and the last one, which must find nothing above mu."""
SAME = 0.9999
"""Cosine above which two new atoms count as one."""
DIRECTION, WEIGHTLESS = 0.999, 1e-4
"""Cosine above which atoms count as of one direction; share of all weight below which one does not count."""
LEAST = 1e-9
"""Share of the greatest weight below which an atom is dropped."""


class Atoms(NamedTuple):
    """Atoms and their weights."""

    v: Tensor
    """Directions [a, n] of length one."""
    d: Tensor
    """Outgoing directions [a, c] of length one."""
    t: Tensor
    """Weights [a]."""

    def net(self) -> tuple[Tensor, Tensor]:
        """The balanced V [a, n] and U [c, a]; one dead neuron if there are no atoms."""
        if not len(self.t):
            return self.v.new_zeros(1, self.v.shape[1]), self.d.new_zeros(self.d.shape[1], 1)
        root = self.t.sqrt()[:, None]
        return root * self.v, (root * self.d).T

    def of(self, chosen: Tensor) -> "Atoms":
        """Some of them."""
        return Atoms(*(tensor[chosen] for tensor in self))

    def merged(self) -> "Atoms":
        """The atoms with those of one direction made one, and without those of next to no weight; falling weights.

        A small gap does not say how an atom's weight is spread over directions beside it: this is how many there are.
        """
        rest = self.of(self.t.argsort(descending=True))
        same = (rest.v @ rest.v.T > DIRECTION) & (rest.d @ rest.d.T > DIRECTION)
        leaders: list[int] = []
        t = torch.zeros_like(rest.t)
        for number in range(len(t)):
            leader = next((one for one in leaders if same[number, one]), number)
            if leader == number:
                leaders.append(number)
            t[leader] += rest.t[number]
        kept = rest._replace(t=t).of(t > WEIGHTLESS * t.sum())
        return kept.of(kept.t.argsort(descending=True))


class Optimum(NamedTuple):
    """What was found for one decay."""

    weight_decay: float
    objective: float
    """P of the net of these atoms, P* or a little more."""
    dual_ratio: float
    relative_gap: float
    """Upper bound of (P - P*)/P, as good as the search is."""
    rounds: int
    atoms: Atoms
    """With falling weights."""


def optima(
    x: Tensor,
    targets: Tensor,
    task: Task,
    decays: list[float],
    *,
    tolerance: float = TOLERANCE,
    rounds: int = ROUNDS,
    loose: Collection[float] = (),
) -> Iterator[Optimum]:
    """The optimum for every decay > 0, from the greatest down; x [N, n], targets [N, c], whatever their precision.

    Rounds end at the relative gap `tolerance`, and at ten times that for the decays in `loose`.
    """
    x, targets = x.double(), targets.double()
    starts = certificate.grid(x, rows=len(x))
    generator = torch.Generator().manual_seed(0)
    atoms = Atoms(x.new_zeros(0, x.shape[1]), x.new_zeros(0, targets.shape[1]), x.new_zeros(0))
    earlier = x.new_zeros(1, 0, x.shape[1])
    for weight_decay in sorted(decays, reverse=True):
        enough = tolerance * (10 if weight_decay in loose else 1)
        found, earlier = _optimum(x, targets, task, weight_decay, atoms, earlier, starts, generator, enough, rounds)
        atoms = found.atoms
        yield found


def _optimum(
    x: Tensor,
    targets: Tensor,
    task: Task,
    weight_decay: float,
    atoms: Atoms,
    earlier: Tensor,
    starts: Grid,
    generator: torch.Generator,
    tolerance: float,
    rounds: int,
) -> tuple[Optimum, Tensor]:
    """The optimum for one decay from the atoms at hand, and the points at which the last search ended."""
    count = min(max(RANDOM[0], NUMBERS // x.numel()), RANDOM[1])
    gap = 1.0
    for number in range(1, rounds + 1):
        sought = max(tolerance, SOUGHT * gap)
        atoms = _reweighed(atoms, x, targets, task, weight_decay, sought)
        atoms = _slid(atoms, x, targets, task, weight_decay, sought)
        atoms = _reweighed(atoms, x, targets, task, weight_decay, sought)
        v, u = (matrix[None] for matrix in atoms.net())
        own = len(atoms.t) + STARTS
        for effort in (QUICK, LAST):
            # No search has seen these points: those that were seen lead to peaks that are atoms by now.
            number_of = count if effort is LAST else count // FIRST
            random = torch.randn(number_of, x.shape[1], generator=generator, dtype=x.dtype)
            found = certificate.certify(
                v, u, x, targets, task, x.new_tensor([weight_decay]),
                starts=starts, earlier=earlier, random=random, own_count=own, grid_count=FEW, effort=effort,
            )  # fmt: skip
            gap, earlier = found.relative_gap.item(), found.maximisers
            if gap > tolerance and number < rounds:
                break
        else:
            break
        atoms = _joined(atoms, earlier[0], x, targets, task, weight_decay)
    order = atoms.t.argsort(descending=True)
    result = Optimum(weight_decay, found.objective.item(), found.dual_ratio.item(), gap, number, atoms.of(order))
    return result, earlier


def _reweighed(atoms: Atoms, x: Tensor, targets: Tensor, task: Task, weight_decay: float, tolerance: float) -> Atoms:
    """The atoms with the best weights, without those of weight zero."""
    if not len(atoms.t):
        return atoms
    hidden = (atoms.v @ x.T).relu_()
    m = torch.einsum("an,ac->nca", hidden, atoms.d).contiguous()
    t, _ = best_weights(m, atoms.t, targets, task, weight_decay, 1e-3 * tolerance)
    return atoms._replace(t=t).of(t > LEAST * t.max())


def _slid(atoms: Atoms, x: Tensor, targets: Tensor, task: Task, weight_decay: float, tolerance: float) -> Atoms:
    """Where V and U end that slide down the decayed loss together (L-BFGS); kinks may stop them on the way."""
    if not len(atoms.t):
        return atoms
    shapes = atoms.v.shape, atoms.d.T.shape
    columns, wanted = x.T.contiguous(), targets.T.contiguous()

    def matrices(theta: Tensor) -> tuple[Tensor, Tensor]:
        v, u = theta.split([atoms.v.numel(), atoms.d.numel()])
        return v.view(shapes[0]), u.view(shapes[1])

    def decayed_loss(theta: Tensor) -> tuple[float, Tensor]:
        v, u = matrices(theta)
        z = v @ columns
        hidden = z.relu()
        f = u @ hidden
        loss = losses.sample_losses(f, wanted, task, dim=0).mean().item()
        e = losses.output_gradients_(f, wanted, task, dim=0) / len(x)
        delta = u.T @ e
        by_v = (mlp.relu_backward(delta, z, 0, grad_input=delta) @ x).add_(v, alpha=weight_decay)
        by_u = (e @ hidden.T).add_(u, alpha=weight_decay)
        penalty = weight_decay / 2 * (theta @ theta).item()
        return loss + penalty, torch.cat([by_v.flatten(), by_u.flatten()])

    start = torch.cat([matrix.flatten() for matrix in atoms.net()])
    end = descent.minimise(decayed_loss, start, steps=SLIDES, tolerance=SLIDE * tolerance)
    v, u = matrices(end.point)
    before, after = torch.linalg.vector_norm(v, dim=1), torch.linalg.vector_norm(u, dim=0)
    kept = before * after > LEAST * (before * after).max()
    v, u, before, after = v[kept], u[:, kept], before[kept], after[kept]
    return Atoms(v / before[:, None], (u / after).T, before * after)


def _joined(atoms: Atoms, points: Tensor, x: Tensor, targets: Tensor, task: Task, weight_decay: float) -> Atoms:
    """The atoms and, with weight zero, those of points [R, n] where the dual function is above mu."""
    force = (points @ x.T).relu_() @ certificate.derivatives(*atoms.net(), x, targets, task)
    height = torch.linalg.vector_norm(force, dim=1)
    order = height.argsort(descending=True)
    order = order[height[order] > weight_decay]
    points, d = points[order], -force[order] / height[order, None]
    near = (points @ points.T > SAME).numpy()
    chosen: list[int] = []
    for number in range(len(points)):
        if not near[number, chosen].any():
            chosen.append(number)
    new = Atoms(points[chosen], d[chosen], points.new_zeros(len(chosen)))
    return Atoms(*(torch.cat(pair) for pair in zip(atoms, new, strict=True)))
