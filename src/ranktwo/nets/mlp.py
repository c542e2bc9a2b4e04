"""Bias-free ReLU nets f(x) = W_L relu(... relu(W_1 x)), many at once, with hand-written derivatives.

Shapes: K cells, N samples, n inputs, m hidden units, c outputs, L weight matrices.
Weights are a list of L tensors [K, out, in]. In a two-layer net W_1 is V [K, m, n] and W_L is U [K, c, m].
Targets are floating-point [N, c] or [K, N, c]: the values (regression), 0 or 1 (binary), one-hot rows (multiclass).
Losses are torch's: the mean over outputs of (f - y)^2; the logistic loss of one logit; cross entropy in nats.
"""

import torch
from torch import Tensor

from ranktwo.nets.layout import aligned
from ranktwo.nets.losses import Task, output_gradients_

relu_backward = torch.ops.aten.threshold_backward.grad_input
"""relu_backward(g, h, 0, grad_input=out) writes g where h > 0 and 0 elsewhere into out."""
FEW_OUTPUTS = 16
"""With fewer outputs, MKL computes W h^T faster than h W^T; `benchmarks/run.py forms` measures it."""


def matrix_names(count: int) -> list[str]:
    """Names of a net's `count` weight matrices from the input on: V, W2, ..., U. V and U are the paper's names."""
    return ["V", *(f"W{layer}" for layer in range(2, count)), "U"][:count]


def linear(h: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """h W^T, [K, N, out], of h [K, N, in] and W [K, out, in]. The bits of a cell do not depend on the other cells.

    The result is written into `out` if it is given. With few outputs, W h^T is computed and transposed, which is up to
    twice as fast on a CPU. A single output is always computed so, because for h W^T at K = 1 MKL has a special routine,
    whose bits may differ from those at K > 1.
    """
    cells, samples, outputs = len(weight), h.shape[1], weight.shape[1]
    if out is None:
        out = aligned(cells, samples, outputs, weight)
    if outputs == 1:
        torch.bmm(weight, h.transpose(1, 2), out=out.view(cells, 1, samples))
        return out
    if outputs < FEW_OUTPUTS and samples >= 8 and h.device.type == "cpu":
        turned = torch.bmm(weight, h.transpose(1, 2), out=aligned(cells, outputs, samples, weight))
        return out.copy_(turned.transpose(1, 2))
    return torch.bmm(h, weight.transpose(1, 2), out=out)


def forward(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """[h_0, ..., h_{L-1}, f] with h_0 = x, h_l = relu(W_l h_{l-1}), f = W_L h_{L-1}.

    x is [N, n], the same for all cells, or [K, N, n]; h_0 is x seen as [K, N, n]. h_l is [K, N, m_l], f is [K, N, c].
    """
    h = x.expand(weights[0].shape[0], *x.shape[-2:])
    activations = [h]
    for weight in weights[:-1]:
        h = linear(h, weight).relu_()
        activations.append(h)
    activations.append(linear(h, weights[-1]))
    return activations


def deltas(weights: list[Tensor], activations: list[Tensor], targets: Tensor, task: Task) -> list[Tensor]:
    """[delta_1, ..., delta_L]; row i of delta_l [K, N, m_l] is the gradient of l_i by W_l h_{l-1}(x_i). relu'(0) = 0.

    The gradient of l_i by W_l is the outer product delta_l[i] h_{l-1}[i]^T, of rank one at most. `activations` are
    those of `forward`.
    """
    delta = output_gradients_(activations[-1].clone(), targets, task)
    result = [delta]
    for weight, h in zip(reversed(weights[1:]), reversed(activations[1:-1]), strict=True):
        delta = torch.bmm(delta, weight)
        result.append(relu_backward(delta, h, 0, grad_input=delta))
    return result[::-1]
