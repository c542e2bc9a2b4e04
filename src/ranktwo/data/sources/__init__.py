"""Where data sets come from: one file for each source, found by its mark `@source("name")`."""
