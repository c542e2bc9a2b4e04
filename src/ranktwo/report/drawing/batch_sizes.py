"""What the figures that compare batch sizes share: `full-batch` and `scaling`."""

ACROSS_BATCH_SIZES = ("batch_size", "learning_rate", "steps")
"""Axes in which cells may differ that are compared: each batch size may need its own learning rate and steps."""
RANK_AND_RESIDUAL = {"effective_rank": "effective rank of $V$", "residual_2": "$d_2/\\|V\\|$"}
"""The column that each of a family's two panels shows, and its name."""
