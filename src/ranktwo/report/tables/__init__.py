"""The tables of a study, a file each; a function marked with `@table` in any file of this package is one."""
