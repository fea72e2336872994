"""`unweave zoo`: the equations that are built in, and the text of one."""

import argparse
from typing import TYPE_CHECKING, Any

from ._output import Result

if TYPE_CHECKING:
    from ..equations._zoo import ZooEntry


def zoo_verb(options: argparse.Namespace) -> Result:
    """The list, or the text of the one that was named."""
    # SymPy is only loaded where an equation is read
    from ..equations._zoo import ZOO, zoo_entry

    if options.name is not None:
        entry = zoo_entry(options.name)
        return {**_facts(entry), "text": entry.text}, entry.text.rstrip("\n")
    entries = [_facts(entry) for entry in ZOO.values()]
    shown = "\n\n".join(map(_words, entries))
    more = "The text of one: unweave zoo NAME. A course of it: unweave simulate zoo:NAME"
    return {"zoo": entries}, f"{shown}\n\n{more}"


def _facts(entry: "ZooEntry") -> dict[str, Any]:
    from ..equations.language._text import parse

    system = parse(entry.text)
    latents = system.latents
    return {
        "name": entry.name,
        "title": entry.title,
        "reference": entry.reference,
        "properties": list(entry.properties),
        "time_unit": system.time_unit,
        "begin": entry.begin,
        "until": entry.until,
        "samples": entry.samples,
        "observed": _with_units([(v.name, v.unit) for v in system.observables]),
        "latents": _with_units(list(zip(latents.names, latents.units, strict=True))),
    }


def _with_units(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "unit": unit} for name, unit in pairs]


def _words(facts: dict[str, Any]) -> str:
    time = f"over {facts['until'] - facts['begin']:.4g} {facts['time_unit']}".rstrip()
    return (
        f"{facts['name']}: {facts['title']}\n"
        f"  latents   {_listed(facts['latents'])}\n"
        f"  observed  {_listed(facts['observed'])} {time}\n"
        f"  from      {facts['reference']}"
    )


def _listed(variables: list[dict[str, str]]) -> str:
    return ", ".join(f"{v['name']} ({v['unit']})" if v["unit"] else v["name"] for v in variables)
