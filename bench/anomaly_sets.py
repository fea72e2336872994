"""What anomalies are looked for in: heartbeats to learn from, and series cut into windows."""

import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unweave.data import read_rows
from unweave.detect import period, sliding, starts

#: Windows that a detector learns from at most, spread evenly, and steps between those judged.
MOST, STEP = 2000, 4
#: Samples of a window where a series has no period.
NO_PERIOD = 100


@dataclass(frozen=True, eq=False)
class Task:
    """Observations to learn from, `train`, and to judge, `x`; of a series the first sample of each
    window, `begin`, and how many samples there are, `total`. `truth` labels observations, or
    samples of a series; nothing but measures sees it."""

    train: np.ndarray
    x: np.ndarray
    truth: np.ndarray
    how: str
    begin: np.ndarray | None = None
    total: int = 0

    @property
    def known(self) -> bool:
        """Whether it is known that what there is to learn from is normal."""
        return not self.how.startswith("nothing known")

    @property
    def length(self) -> int:
        return self.x.shape[1]


def ecg5000(data: pathlib.Path) -> Task:
    folder = data / "ecg5000"
    train = read_rows([str(folder / "ECG5000_TRAIN.txt.gz")])
    test = read_rows([str(folder / "ECG5000_TEST_part_a.npz")])
    normal = train.labels == train.label_names.index("1")
    truth = test.labels != test.label_names.index("1")
    how = f"{int(normal.sum())} normal beats to learn from, {len(truth)} to judge"
    return Task(train.observations[normal], test.observations, truth, how)


def record_805(data: pathlib.Path) -> Task:
    table = np.loadtxt(data / "tsb_uad_ecg" / "MBA_ECG805_data.csv.gz", delimiter=",", skiprows=1)
    return unlabelled(table[:, 0], table[:, 1] > 0)


def ucr(name: str) -> Callable[[pathlib.Path], Task]:
    def read(data: pathlib.Path) -> Task:
        (file,) = (data / "ucr_anomaly").glob(f"{name}_*.txt")
        values = np.array(file.read_text().split(), float)
        known, first, last = map(int, file.stem.split("_")[-3:])
        truth = np.zeros(len(values), bool)
        truth[first - 1 : last] = True
        length = found_period(values[:known])
        series = values[known:, None]
        begin = starts(len(series), length, 1)
        train = sliding(values[:known, None], length)
        return Task(thinned(train), sliding(series, length), truth[known:],
                    f"the first {known} samples to learn from, windows of {length}",
                    begin, len(series))  # fmt: skip

    return read


def nab(name: str) -> Callable[[pathlib.Path], Task]:
    def read(data: pathlib.Path) -> Task:
        table = pd.read_csv(data / "nab" / f"{name}.csv", parse_dates=["timestamp"])
        windows = json.loads((data / "nab" / "combined_windows.json").read_text())[f"{name}.csv"]
        truth = np.zeros(len(table), bool)
        for first, last in windows:
            truth |= table["timestamp"].between(pd.Timestamp(first), pd.Timestamp(last)).to_numpy()
        return unlabelled(table["value"].to_numpy(float), truth)

    return read


def unlabelled(values: np.ndarray, truth: np.ndarray) -> Task:
    """A series of which no part is known to be normal: detectors learn from all of it."""
    length = found_period(values)
    series = values[:, None]
    begin = starts(len(series), length, STEP)
    x = sliding(series, length, step=STEP)
    return Task(thinned(x), x, truth,
                f"nothing known to be normal, windows of {length}", begin, len(series))  # fmt: skip


def found_period(values: np.ndarray) -> int:
    try:
        return period(values[:20_000], least=10)
    except ValueError:
        return NO_PERIOD


def thinned(windows: np.ndarray) -> np.ndarray:
    kept = np.linspace(0, len(windows) - 1, min(MOST, len(windows))).round().astype(int)
    return np.ascontiguousarray(windows[kept])


_NAB = (
    "artificialWithAnomaly/art_daily_flatmiddle", "artificialWithAnomaly/art_daily_jumpsup",
    "realAWSCloudwatch/ec2_cpu_utilization_fe7f93",
    "realKnownCause/ambient_temperature_system_failure",
    "realKnownCause/ec2_request_latency_system_failure",
    "realKnownCause/machine_temperature_system_failure", "realKnownCause/nyc_taxi",
    "realTweets/Twitter_volume_AAPL",
)  # fmt: skip
SETS: dict[str, Callable[[pathlib.Path], Task]] = {
    "ECG5000": ecg5000,
    "TSB-UAD 805": record_805,
    "UCR 135": ucr("135"),
    "UCR 136": ucr("136"),
    **{f"NAB {name.split('/')[1]}": nab(name) for name in _NAB},
}
