"""The dual certificates of many nets on the same inputs: how far each is from the least decayed loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from ranktwo.analysis.optimum import duality, search
from ranktwo.analysis.optimum.search import Effort
from ranktwo.nets import losses
from ranktwo.nets.losses import Task

RANDOM, DATA = 128, 128
"""Random points, and data points with their negatives at most, among which a search finds its starts."""
APART = 0.9
"""Cosine above which a point is too near a better one to be a start beside it."""


class Grid(NamedTuple):
    """Points of the sphere from which searches may start whatever the net is."""

    points: Tensor
    """[S, n]."""
    images: Tensor
    """relu(v.x_i) of each, [S, N]."""


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


def grid(x: Tensor, seed: int = 0) -> Grid:
    """Random points, and data points spread over the rows of x [N, n], with their negatives."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(RANDOM, x.shape[1], generator=generator, dtype=torch.float64)
    rows = x[:: -(-2 * len(x) // DATA)].double()
    points = search.directions(torch.cat([rows, -rows, random]))
    return Grid(points, (points @ x.double().T).relu_())


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
    count: int,
    effort: Effort,
) -> Certificate:
    """The certificates of K nets, v [K, m, n] and u [K, c, m], finite, with mu > 0 [K], on x [N, n], all in float64.

    targets [N, c] or [K, N, c]. The search starts from the `count` highest candidates that lie apart: the net's own
    neurons, the points of the grid, `earlier` [K, R, n], and +-sum_i e_i x_i, output by output. So the dual ratio is
    never less than the value at an own neuron.
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
    more = [means, -means] if earlier is None else [means, -means, earlier]
    others = torch.cat(more, dim=1)
    others = others * search.inverse(torch.linalg.vector_norm(others, dim=2, keepdim=True))
    images = starts.images.expand(len(v), -1, -1)
    candidates = torch.cat([v * search.inverse(lengths)[..., None], starts.points.expand(len(v), -1, -1), others], 1)
    heights = torch.cat(
        [own, torch.linalg.vector_norm(torch.bmm(images, delta), dim=2), search.force(others, x, delta)[0][..., 0]], 1
    )
    chosen = highest_apart(candidates, heights, count)
    height, best, ends = search.maximise(x, delta, chosen, effort)
    at_candidate, index = heights.max(1)
    better = at_candidate > height
    best = torch.where(better[:, None], candidates[torch.arange(len(v)), index], best)
    height = torch.where(better, at_candidate, height)

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


def highest_apart(points: Tensor, heights: Tensor, count: int) -> Tensor:
    """The highest of points [K, S, n] on the sphere, the highest of those apart from it, and so on, `count` of them.

    heights [K, S]. Where no more lie apart, the highest is repeated.
    """
    chosen, left = [], heights
    for _ in range(count):
        point = points[torch.arange(len(points)), left.argmax(1)]
        chosen.append(point)
        near = torch.bmm(points, point[..., None])[..., 0] > APART
        left = torch.where(near, -torch.inf, left)
    return torch.stack(chosen, dim=1)
