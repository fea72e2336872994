"""What a page is told once: the models with their sliders, and the observations."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ..plots import COLOURS
from . import _ask
from ._explorer import Explorer
from ._frames import plain
from ._messages import EXPORTS, MOST_BYTES
from ._plane import has_plane
from ._subject import Subject


def described(explorer: Explorer) -> dict[str, Any]:
    """Everything that the page needs before the first message, as JSON holds it."""
    schema, n = explorer.schema, len(explorer.observations)
    places = explorer.plane[2].tolist() if n > 2 else None
    found = {
        "axes": list(schema.axes),
        "shape": list(schema.shape),
        "series": schema.is_series,
        "channels": list(schema.channels),
        "units": list(schema.units),
        "timeUnit": schema.time_unit,
        "n": n,
        "places": places,
        "times": list(schema.times) if schema.is_series else None,
        "observations": [_observation(explorer, i) for i in range(n)],
        "limits": _limits(explorer),
        "models": [_model(subject, COLOURS[i % len(COLOURS)])
                   for i, subject in enumerate(explorer.subjects.values())],
        "exports": list(EXPORTS),
        "mostBytes": MOST_BYTES,
        "mostShare": _ask.MOST_SHARE,
        "spread": _ask.spread(explorer),
        # an attack counts in the model's units, which a transform's are not
        "spreadUnit": schema.units[0] if _one_unit(explorer) else "",
    }  # fmt: skip
    return plain(found)


def _one_unit(explorer: Explorer) -> bool:
    schema = explorer.schema
    return schema.transform == "level" and len(set(schema.units)) == 1


def _observation(explorer: Explorer, i: int) -> dict[str, Any]:
    times = explorer.times(i)
    x = np.asarray(explorer.shown[i], np.float64)
    return {
        # those of all where it has none of its own
        "times": None if times is None or explorer.conditions is None else times.tolist(),
        # numbers as they are drawn: six digits
        "x": [[float(f"{v:.6g}") for v in row] for row in x.reshape(-1, x.shape[-1])],
    }


def _limits(explorer: Explorer) -> list[list[float]] | None:
    """The least and greatest value of each channel over the observations."""
    if not len(explorer.shown):
        return None
    flat = np.asarray(explorer.shown, np.float64).reshape(-1, explorer.schema.shape[-1])
    return np.stack([np.nanmin(flat, 0), np.nanmax(flat, 0)], axis=1).tolist()


def _model(subject: Subject, colour: str) -> dict[str, Any]:
    return {
        "id": subject.id,
        "name": subject.name,
        "recipe": subject.recipe,
        "colour": colour,
        "sliders": [asdict(slider) for slider in subject.sliders()],
        "nats": subject.nats,
        "slow": subject.slow,
        "wrapped": subject.wrapped,
        "told": list(subject.told),
        "targets": list(_ask.targets_of(subject)),
        "plane": has_plane(subject),
        "content": subject.content,
    }
