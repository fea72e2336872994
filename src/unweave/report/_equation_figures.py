"""The figures of a fitted equation; the page and the article share them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plots
from ._equation import EquationContent
from ._estimates import Real, estimate_of, is_determined


def equation_figures(content: EquationContent) -> dict[str, tuple[Figure, str]]:
    """Each figure that there are arrays for, by name, with what it shows in a few words."""
    account, arrays = content.account, content.arrays
    channels, units = account["noise"]["channels"], account["noise"]["units"]
    drawn: dict[str, tuple[Figure, str]] = {}
    if "observed" in arrays:
        figure = plots.fit(
            arrays["times"], arrays["observed"], arrays["curve_times"], arrays["curve"],
            channels=channels, units=units, time_unit=account["time_unit"],
            records=content.records, curve_band=_band(arrays, "curve"),
            data_band=_band(arrays, "data"), confidence=account["confidence"],
        )  # fmt: skip
        drawn["fit"] = figure, "Observations over the fitted curve"
    if "residuals" in arrays:
        figure = plots.residuals(
            arrays["times"], arrays["residuals"], channels=channels,
            time_unit=account["time_unit"], records=content.records,
        )  # fmt: skip
        drawn["residuals"] = figure, "Residuals and their autocorrelation"
    drawn |= _of_networks(account, arrays)
    if arrays.get("objectives", np.empty(0)).size > 1:
        figure = plots.waterfall(arrays["objectives"], agree=account["starts"]["agree"])
        drawn["waterfall"] = figure, "How far above the best every start ended"
    if account["profiles"] and "profile_values" in arrays:
        figure = plots.profiles(
            arrays["profile_values"], arrays["profile_objectives"],
            [row["name"] for row in account["profiles"]],
            units=[row["unit"] for row in account["profiles"]],
            intervals=[(row["low"], row["high"]) for row in account["profiles"]],
            confidence=account["confidence"],
        )  # fmt: skip
        drawn["profiles"] = figure, "Profile likelihoods"
    drawn |= _of_latents(account)
    if content.phase is not None:
        drawn["phase"] = content.phase, "Phase portrait at the fitted values"
    return drawn


def _of_networks(
    account: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, tuple[Figure, str]]:
    """What the networks of a hybrid found."""
    calls = account.get("hybrid", {}).get("calls", [])
    if not calls or "found_values" not in arrays:
        return {}
    figure = plots.found(
        [arrays[f"found_arguments_{k}"] for k in range(len(calls))], arrays["found_values"],
        labels=[call["label"] for call in calls], words=[call["arguments"] for call in calls],
        grids=[arrays.get(f"found_grid_{k}") for k in range(len(calls))],
    )  # fmt: skip
    return {"found": (figure, "What the networks found")}


def _of_latents(account: Mapping[str, Any]) -> dict[str, tuple[Figure, str]]:
    """The intervals of what all records share, and the correlations."""
    drawn: dict[str, tuple[Figure, str]] = {}
    shared = [row for row in account["latents"] if row["record"] is None]
    shared = [row for row in shared if row["status"] != "fixed"]
    if len(shared) > 1:
        low, centre, high = (
            np.asarray([_number(row[name]) for row in shared])
            for name in ("low", "estimate", "high")
        )
        figure = plots.estimates(
            [row["name"] for row in shared], centre, low, high,
            labels=[f"{estimate_of(row)} {row['unit']}".strip() for row in shared],
            determined=[is_determined(row) for row in shared],
            confidence=account["confidence"],
        )  # fmt: skip
        drawn["estimates"] = figure, "Intervals relative to the estimates"
    found = account["correlation"]
    if len(found["names"]) > 1:
        matrix = np.asarray([[_number(value) for value in row] for row in found["matrix"]])
        figure = plots.correlation(matrix, found["names"])
        drawn["correlation"] = figure, "Correlations of the estimates"
    return drawn


def _band(arrays: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray] | None:
    if f"{name}_low" not in arrays:
        return None
    return arrays[f"{name}_low"], arrays[f"{name}_high"]


def _number(value: Real | None) -> float:
    return np.nan if value is None else float(value)
