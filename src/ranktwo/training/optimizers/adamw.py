"""AdamW with betas 0.9 and 0.999 and epsilon 1e-8, as torch.optim.AdamW defines it."""

import torch
from torch import Tensor

from ranktwo.training.optimizers.base import Factors, Gradient, each, optimizer

BETA_1, BETA_2 = 0.9, 0.999
REST_1, REST_2 = 1 - BETA_1, 1 - BETA_2
EPSILON = 1e-8


@optimizer(
    "adamw",
    slots=2,
    decay="decoupled",
    backends=("cpu", "gpu"),
    betas=(BETA_1, BETA_2),
    constants={"BETA_1": BETA_1, "BETA_2": BETA_2, "REST_1": REST_1, "REST_2": REST_2, "EPSILON": EPSILON},
)
def adamw(weight: Tensor, slots: list[Tensor], scratch: list[Tensor], g: Gradient, factors: Factors) -> None:
    """m <- 0.9 m + 0.1 g and s <- 0.999 s + 0.001 g^2, then with both corrected for their start at zero
    W <- (1 - eta mu) W - eta m / (1 - 0.9^t) / (sqrt(s / (1 - 0.999^t)) + 1e-8).
    """
    (mean, square), (spare, gradient) = slots, scratch
    g.write_to(gradient)
    mean.mul_(BETA_1).add_(torch.mul(gradient, REST_1, out=spare))
    square.mul_(BETA_2).add_(gradient.mul_(gradient).mul_(REST_2))
    root = torch.sqrt(square, out=gradient).div_(each(factors.root)).add_(EPSILON)
    weight.mul_(each(factors.shrinkage)).sub_(torch.div(mean, root, out=spare).mul_(each(factors.mean_rate)))
