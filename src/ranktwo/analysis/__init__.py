"""What theory says of trained weights: spectra and ranks, certificates, generalization bounds, truncated nets."""
