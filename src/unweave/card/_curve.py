"""The row of the learning curve: the held-out error at every share of the training data."""

from dataclasses import replace

from ._error import ERROR

CURVE = replace(ERROR, name="curve", title="held-out error", curve=True, group="data needed")
