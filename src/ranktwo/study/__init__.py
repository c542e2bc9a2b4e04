"""What is asked: the axes of a study, its config, its cells and stacks, the jobs that make them and what they take."""
