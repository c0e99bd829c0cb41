"""Attacks at random on what takes strangers' files and requests; see `__main__.py`."""
