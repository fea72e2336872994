"""The page of the zoo, written from the texts of its equations.

    python docs/zoo.py

writes `docs/zoo.md`; `python docs/zoo.py --check` says whether that page is the one it would
write.
"""

import sys
from pathlib import Path

from unweave.equations._zoo import ZOO, ZooEntry
from unweave.equations.language._text import TextSystem, parse
from unweave.report._mathml import mathml

PAGE = Path(__file__).resolve().parent / "zoo.md"
HEAD = """\
# The zoo of equations

These equations are built in, each a short text with units, the ranges of its latents, its
reference and what is known of it. `unweave zoo` lists them, `unweave zoo NAME` prints a text,
`unweave simulate zoo:NAME` solves one. The page is written by `docs/zoo.py`.

| name | what it is | latents | a typical course |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    systems = {name: parse(entry.text) for name, entry in ZOO.items()}
    rows = [row(entry, systems[name]) for name, entry in ZOO.items()]
    parts = [section(entry, systems[name]) for name, entry in ZOO.items()]
    return HEAD + "\n".join(rows) + "\n\n" + "\n\n".join(parts) + "\n"


def row(entry: ZooEntry, system: TextSystem) -> str:
    """A line of the table."""
    unit = f" {system.time_unit}" if system.time_unit else ""
    course = f"{entry.until - entry.begin:.4g}{unit}, {entry.samples} samples"
    return f"| [`{entry.name}`](#{entry.name}) | {entry.title} | {system.latents.size} | {course} |"


def section(entry: ZooEntry, system: TextSystem) -> str:
    """What is known of one equation."""
    known = "\n".join(f"- {_escaped(sentence)}" for sentence in entry.properties)
    return "\n\n".join(
        [
            f"## {entry.name}",
            f"{entry.title}. {entry.reference}.",
            formula(system),
            latents(system),
            known,
        ]
    )


def formula(system: TextSystem) -> str:
    """The equations as MathML, which a browser draws without a script; else as plain text."""
    drawn = mathml(system.latex())
    return f"```\n{system.pretty()}```" if drawn is None else str(drawn).replace("\n", " ")


def _escaped(sentence: str) -> str:
    """Formulas are written as in the text: their stars and underscores are no emphasis."""
    return sentence.replace("*", r"\*").replace("_", r"\_").replace("|", r"\|")


def latents(system: TextSystem) -> str:
    """The latents with their priors and units, as a table."""
    names, priors, units = system.latents.names, system.latents.priors, system.latents.units
    rows = [
        f"| `{name}` | {prior.family} from {prior.parameters[0]:.4g} to {prior.parameters[1]:.4g} "
        f"| {unit or '1'} |"
        for name, prior, unit in zip(names, priors, units, strict=True)
    ]
    return "\n".join(["| latent | prior | unit |", "|---|---|---|", *rows])


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv[1:]:
        sys.exit(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
