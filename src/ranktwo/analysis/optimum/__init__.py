"""The convex programme behind weight decay: how far a two-layer net is from the best one, and that best one itself."""
