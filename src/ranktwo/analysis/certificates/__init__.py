"""How far a weight matrix can be from rank one or two: bounds that hold at any weights, and what they are made of."""
