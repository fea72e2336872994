"""The state as a file: a figure, tables, and the Python lines that give the same numbers."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._course import Course
from .._schema import Schema
from ._answer import decoded
from ._explorer import Explorer
from ._messages import Export
from ._subject import Subject

TYPES: Mapping[str, str] = {
    "svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8",
    "py": "text/x-python; charset=utf-8",
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file to be kept: its name, its type, its bytes."""

    name: str
    type: str
    content: bytes


def exported(explorer: Explorer, export: Export) -> File:
    """The file of an export."""
    kind = export.kind.rpartition(".")[2]
    if kind in ("svg", "png"):
        content = _figure(explorer, export, kind)
    elif export.kind == "signals.csv":
        content = _signals(explorer, export).encode()
    elif export.kind == "latents.csv":
        content = _latents(explorer, export).encode()
    else:
        content = python_lines(explorer, export).encode()
    return File(export.kind, TYPES[kind], content)


def python_lines(explorer: Explorer, export: Export) -> str:
    """A program that makes `x`, what each model decodes, with the same numbers."""
    lines = ["import numpy as np", "", "import unweave as uw", ""]
    for id, z in export.points.items():
        subject = explorer.subjects[id]
        lines += [f"# {subject.name}: {subject.recipe}", *subject.lines]
        lines += ["z = np.array([", *_named_numbers(subject, z), "])"]
        condition = _condition_line(explorer, subject, export)
        if condition:
            lines.append(f"condition = {condition}")
        beside = ", condition=condition" if condition else ""
        lines.append(f"x = uw.decode(model, z[None]{beside})[0]")
        if explorer.schema.transform != "level":
            lines.append("x = uw.restore(x, run.schema)")
        lines += [f"print(x.shape)  # {_what(explorer.schema)}", ""]
    return "\n".join(lines)


def _named_numbers(subject: Subject, z: np.ndarray) -> list[str]:
    units = subject.model.latents.units
    named = zip(z.tolist(), subject.model.latents.names, units, strict=True)
    return [f"    {value!r},  # {_one_line(name)} {_one_line(unit)}".rstrip()
            for value, name, unit in named]  # fmt: skip


def _one_line(text: str) -> str:
    """A name in a comment: it must not end the line."""
    return "".join(c if c.isprintable() else " " for c in text)


def _condition_line(explorer: Explorer, subject: Subject, export: Export) -> str:
    condition = explorer.condition(subject, export.on, export.told)
    if condition is None:
        return ""
    if not isinstance(condition, Course):
        return f"np.asarray({int(condition)})"
    if subject.equation is not None and condition.inputs is None:
        times = np.asarray(condition.times)
        ends = f"{float(times[0])!r}, {float(times[-1])!r}, {len(times)}"
        return f"uw.Course(times=np.linspace({ends}))"
    if explorer.own and subject.run is not None and subject.run.conditions is not None:
        place = export.on or 0
        parts = [
            f"{name}=run.conditions.{name}[{place}]"
            for name, part in condition._asdict().items()
            if part is not None
        ]
        return f"uw.Course({', '.join(parts)})"
    parts = [
        f"{name}=np.array({np.asarray(part).tolist()!r})"
        for name, part in condition._asdict().items()
        if part is not None
    ]
    return f"uw.Course({', '.join(parts)})"


def _what(schema: Schema) -> str:
    units = ", ".join(dict.fromkeys(unit for unit in schema.units if unit))
    return _one_line(f"({', '.join(schema.axes)})" + (f", in {units}" if units else ""))


def _all(explorer: Explorer, export: Export) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """What is shown, by its name: an observation or its times None."""
    found: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    if export.on is not None:
        found["observation"] = explorer.shown[export.on], explorer.times(export.on)
    for id, z in export.points.items():
        subject = explorer.subjects[id]
        found[subject.name] = decoded(explorer, subject, z, export.on, export.told)
    return found


def _signals(explorer: Explorer, export: Export) -> str:
    """A row for each number: what it belongs to, where it is, and its unit."""
    schema, out = explorer.schema, io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    axes = [f"time ({schema.time_unit})" if a == "time" and schema.time_unit else a
            for a in schema.axes[:-1]]  # fmt: skip
    table.writerow(["series", *axes, "channel", "value", "unit"])
    for name, (x, times) in _all(explorer, export).items():
        for place in np.ndindex(*x.shape):
            where: list[Any] = list(place[:-1])
            if times is not None:
                where[0] = repr(float(times[place[0]]))
            channel = schema.channels[place[-1]], schema.units[place[-1]]
            value = float(x[place])
            number = "" if np.isnan(value) else repr(value)
            table.writerow([_safe(name), *where, _safe(channel[0]), number, _safe(channel[1])])
    return out.getvalue()


def _latents(explorer: Explorer, export: Export) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["model", "latent", "value", "unit", "prior"])
    for id, z in export.points.items():
        subject = explorer.subjects[id]
        for slider, value in zip(subject.sliders(), z.tolist(), strict=True):
            words = [_safe(w) for w in (subject.name, slider.name, slider.unit, slider.prior)]
            table.writerow([*words[:2], repr(value), *words[2:]])
    return out.getvalue()


def _safe(text: str) -> str:
    """A name that a spreadsheet takes for no formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _figure(explorer: Explorer, export: Export, kind: str) -> bytes:
    from ..plots import compared, encoded  # Matplotlib is only loaded where something is drawn

    figure = compared(_all(explorer, export), explorer.schema)
    return encoded(figure, kind)
