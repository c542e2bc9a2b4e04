"""Puts this folder on the path of imports, so that tests in folders below find its helpers too."""
