"""Generalization bounds, rates and measures of a net, registered one by one."""
