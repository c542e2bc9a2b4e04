"""What people look at: figures, tables, macros and pages, made from rows of the Parquet files alone."""
