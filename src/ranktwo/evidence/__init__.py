"""What rows of many cells say together: the table of gaps, what predicts the gap, and the verdicts on the claims."""
