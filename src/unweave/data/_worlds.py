"""Data that are built in and need no network."""

import io
from importlib import resources

import numpy as np

from .._schema import Schema
from ._dataset import Dataset, Signal, dataset


def digits() -> Dataset:
    """1,797 handwritten digits of 8 by 8 pixels, grey from 0 to 16, labelled by their digit.

    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998 (its test set), as scikit-learn ships it.
    """
    # imported here because scikit-learn takes a second that other data need not wait
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    schema = Schema(
        kind="images",
        axes=("row", "column", "channel"),
        shape=(8, 8, 1),
        channels=("grey",),
        units=("",),
    )
    return dataset(
        np.asarray(images, dtype=np.uint8).reshape(-1, 8, 8, 1),
        schema,
        labels=np.asarray(labels, dtype=np.int64),
        label_names=tuple(str(digit) for digit in range(10)),
    )


def hare_lynx() -> Signal:
    """Pelts of snowshoe hare and lynx traded by the Hudson's Bay Company, 1900 to 1920.

    In thousands a year, the classic record of a predator and its prey. C. G. Hewitt, "The
    Conservation of the Wild Life of Canada", 1921; C. Elton and M. Nicholson, "The ten-year
    cycle in numbers of the lynx in Canada", Journal of Animal Ecology 11:215-244, 1942; the
    table as in P. Howard, "Modeling Basics", 2009.
    """
    text = resources.files("unweave.data").joinpath("hare_lynx.csv").read_text(encoding="utf-8")
    table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1)
    return Signal(
        record="hare and lynx",
        group="hare and lynx",
        values=table[:, 1:],
        times=table[:, 0],
        channels=("hare", "lynx"),
        units=("thousand pelts", "thousand pelts"),
        time_unit="year",
    )
