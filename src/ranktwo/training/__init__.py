"""How nets are trained, from the cells of a stack to their recorded weights, losses and scores."""
