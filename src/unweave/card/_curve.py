"""The row of the learning curve: the error at every share of the training data."""

from dataclasses import replace

from ._repeated import REPEATED

CURVE = replace(
    REPEATED, name="curve", title="error of a second measurement", curve=True, group="data needed",
    version=2,
)  # fmt: skip
