"""Tests of the preparation."""

from importlib.util import find_spec


# an engine of 157 MB that no program here needs: where it is installed, the manual's step for it is tried
collect_ignore = [] if find_spec("datatrove") else ["test_datatrove.py"]
