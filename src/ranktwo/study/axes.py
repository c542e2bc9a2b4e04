"""TODO study.axes."""

from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run. Its fields are the axes of a grid, in the order in which names and tables show them."""

    dataset: str
    train_size: int | None = None
    """N, the first rows of the data set's training part; None means all of them."""
    label_noise: float = 0.0
    """Share of training labels replaced by another class, or the sd of noise added to standardised targets."""
    widths: tuple[int, ...] = (128,)
    """Hidden units of each layer."""
    optimizer: Literal["sgd", "momentum", "adamw"] = "sgd"
    learning_rate: float
    """eta."""
    schedule: Literal["constant", "cosine"] = "constant"
    batch_size: int | Literal["full"]
    """B."""
    weight_decay: float
    """mu, torch's convention."""
    decay_rule: Literal["constant", "input-norm"] = "constant"
    """Whether every sample decays the weights by mu, or by mu ||x_i||^2 / mean ||x_j||^2 (a batch by its mean)."""
    steps: int
    seed: int
    """Of the initial weights, the batches and the label noise."""

    def slug(self, axes: tuple[str, ...]) -> str:
        """Readable name of this cell's values on some axes; defaults of the rarer axes are left out."""
        parts = {
            "dataset": self.dataset,
            "train_size": f"n{self.train_size}" if self.train_size else "",
            "label_noise": f"noise{self.label_noise:g}" if self.label_noise else "",
            "widths": "w" + "-".join(map(str, self.widths)),
            "optimizer": self.optimizer,
            "learning_rate": f"lr{self.learning_rate:g}",
            "schedule": self.schedule if self.schedule != "constant" else "",
            "batch_size": f"b{self.batch_size}",
            "weight_decay": f"wd{self.weight_decay:g}",
            "decay_rule": self.decay_rule if self.decay_rule != "constant" else "",
            "steps": f"t{self.steps}",
            "seed": f"s{self.seed}",
        }
        return "_".join(parts[axis] for axis in axes if parts[axis])


AXES = tuple(field.name for field in fields(Cell))
FAMILY = [axis for axis in AXES if axis not in ("weight_decay", "seed")]
HEADINGS = {
    "dataset": "data set",
    "train_size": "N",
    "label_noise": "label noise",
    "learning_rate": "learning rate",
    "batch_size": "B",
    "decay_rule": "decay rule",
    "weight_decay": "weight decay",
    "train_loss": "train loss",
    "test_loss": "test loss",
    "train_score": "train accuracy or R2",
    "test_score": "test accuracy or R2",
    "effective_rank": "effective rank",
    "residual_2": "rank-two residual",
}
