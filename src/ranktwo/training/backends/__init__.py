"""Ways to take training steps: compiled code for a CPU, a kernel for a GPU, and torch's operations for the rest."""
