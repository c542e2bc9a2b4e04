"""What is trained: nets, their losses and derivatives, initial weights, and the random numbers behind them."""
