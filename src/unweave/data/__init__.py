"""Signals and datasets: reading, cutting, splitting, scaling, and worlds with known factors."""

from ._dataset import Dataset as Dataset
from ._dataset import Signal as Signal
from ._dataset import Split as Split
from ._dataset import dataset as dataset
from ._scale import Scale as Scale
