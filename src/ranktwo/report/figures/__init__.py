"""The figures of a study, one file each; `@figure` registers them."""
