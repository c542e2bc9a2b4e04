"""What nets are trained on: sources of data, their preparation, labels and their noise, decay rules."""
