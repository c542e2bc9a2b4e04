"""The dual certificates of many nets on the same inputs: how far each is from the least decayed loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from ranktwo.analysis.optimum import duality, search
from ranktwo.analysis.optimum.search import Effort
from ranktwo.nets import losses
from ranktwo.nets.losses import Task

RANDOM, MOST_RANDOM, NUMBERS = 128, 512, 2**21
"""Least and most random points of a grid, and numbers of their product with x that it has where that lets it choose."""
ROWS = 1024
"""Most data points of a grid, each with its negative."""
APART = 0.9
"""Cosine above which two points are near each other; a search starts from points that are not, if there are enough."""


class Grid(NamedTuple):
    """Points of the sphere from which searches may start whatever the net is."""

    points: Tensor
    """[S, n]."""
    images: Tensor
    """relu(v.x_i) of each, [S, N]."""
    near: Tensor
    """Whether two of them are near each other, bool [S, S]."""


class Certificate(NamedTuple):
    """What is known of K nets; [K] each, float64."""

    objective: Tensor
    """P."""
    dual_ratio: Tensor
    """h_e/mu, h_e the greatest value of the dual function that was found."""
    gap: Tensor
    """Upper bound of P - P*, as `duality.duality_gap` has it."""
    least: Tensor
    """Least of h/mu over the live neurons; nan if there are none."""
    largest: Tensor
    """Greatest of them."""
    balance: Tensor
    """As `duality.imbalance` has it."""
    maximisers: Tensor
    """Points at which the search ended, [K, R, n], the one of `dual_ratio` first."""

    @property
    def relative_gap(self) -> Tensor:
        """The gap over P; 0 where P = 0, which no loss undercuts."""
        return torch.where(self.objective > 0, self.gap / self.objective, 0.0)


def grid(x: Tensor, rows: int, seed: int = 0) -> Grid:
    """Random points, and some `rows` (ROWS at most) data points spread over x [N, n], with their negatives.

    From data points an ascent finds the narrow peaks of h at which few samples are seen, which random points miss.
    """
    generator = torch.Generator().manual_seed(seed)
    count = max(RANDOM, min(MOST_RANDOM, NUMBERS // x.numel()))
    random = torch.randn(count, x.shape[1], generator=generator, dtype=torch.float64)
    data = x[:: -(-len(x) // min(rows, ROWS))].double()
    points = search.directions(torch.cat([data, -data, random]))
    return Grid(points, (points @ x.double().T).relu_(), points @ points.T > APART)


def derivatives(v: Tensor, u: Tensor, x: Tensor, targets: Tensor, task: Task) -> Tensor:
    """e_i/N of one net, [N, c]; v [m, n], u [c, m], x [N, n], targets [N, c], all in float64."""
    f = (u @ (v @ x.T).relu_()).T[None]
    return losses.output_gradients_(f, targets, task)[0] / len(x)


def certify(
    v: Tensor,
    u: Tensor,
    x: Tensor,
    targets: Tensor,
    task: Task,
    weight_decay: Tensor,
    *,
    starts: Grid,
    earlier: Tensor | None = None,
    random: Tensor | None = None,
    own_count: int,
    grid_count: int,
    effort: Effort,
) -> Certificate:
    """The certificates of K nets, v [K, m, n] and u [K, c, m], finite, with mu > 0 [K], on x [N, n], all in float64.

    targets [N, c] or [K, N, c]. The search starts from the highest points that lie apart: `own_count` of the net's
    neurons, of +-sum_i e_i x_i, output by output, and of the points `earlier` [K, R, n]; `grid_count` of the grid's;
    and all directions of `random` [S, n]. The dual ratio is never less than the value at an own neuron.
    """
    samples = len(x)
    hidden = torch.bmm(v, x.T.expand(len(v), -1, -1)).relu_()
    outputs = torch.bmm(u, hidden).mT
    loss = losses.sample_losses(outputs, targets, task).mean(1)
    objective = loss + weight_decay / 2 * (v.square().sum((1, 2)) + u.square().sum((1, 2)))
    e = losses.output_gradients_(outputs.clone(), targets, task)
    delta = e / samples

    lengths = torch.linalg.vector_norm(v, dim=2)
    own = torch.linalg.vector_norm(torch.bmm(hidden, delta), dim=2) * search.inverse(lengths)
    means = torch.bmm(delta.mT, x.expand(len(v), -1, -1))
    others = torch.cat([means, -means] if earlier is None else [means, -means, earlier], dim=1)
    others = others * search.inverse(torch.linalg.vector_norm(others, dim=2, keepdim=True))
    reached = search.force(others, x, delta)[0][..., 0]
    on_grid = torch.linalg.vector_norm(torch.bmm(starts.images.expand(len(v), -1, -1), delta), dim=2)
    known = torch.cat([v * search.inverse(lengths)[..., None], others], 1)
    heights = torch.cat([own, reached], 1)
    first = search.highest_apart(heights, torch.bmm(known, known.mT) > APART, own_count)
    second = search.highest_apart(on_grid, starts.near[None], grid_count)
    chosen = [known.take_along_dim(first[..., None], 1), starts.points[second]]
    if random is not None:
        chosen.append(search.directions(random).expand(len(v), -1, -1))
    height, best, ends = search.maximise(x, delta, torch.cat(chosen, 1), effort)
    at_known, index = heights.max(1)
    better = at_known > height
    best = torch.where(better[:, None], known[torch.arange(len(v)), index], best)
    height = torch.where(better, at_known, height)

    live = duality.live_neurons(v, u)
    alive = live.any(1)
    return Certificate(
        objective=objective,
        dual_ratio=height / weight_decay,
        gap=duality.duality_gap(objective, e, targets, task, height, weight_decay),
        least=torch.where(alive, torch.where(live, own, torch.inf).amin(1) / weight_decay, torch.nan),
        largest=torch.where(alive, torch.where(live, own, -torch.inf).amax(1) / weight_decay, torch.nan),
        balance=duality.imbalance(v, u),
        maximisers=torch.cat([best[:, None], ends], dim=1),
    )
