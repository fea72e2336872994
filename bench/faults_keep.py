"""What the scripts of `make test-faults` have counted: kept in `faults.json`, written as a page."""

import datetime
import json
import os
import pathlib
import platform

import jax
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
#: The parts of the page, in its order.
PARTS = {
    "file": "A model file or checkpoint that is damaged, or whose writer is killed",
    "run": "A run that is killed and resumed",
    "disk": "Files that cannot be written",
    "workers": "Workers that are killed or frozen",
    "ray": "Machines of a cluster that are lost",
    "problems": "Problems that blow up, and clocks that jump",
}
_BEGIN = """\
# What survives what

Written by the scripts of `make test-faults`, each of which ends with an error if one of its counts
is not as it should be. The rule: nothing is lost beyond the last checkpoint, nothing is left
unreadable, and nothing hangs for more than a minute.
"""


def kept(part: str) -> list[str]:
    """The lines of a part as they are now."""
    file = HERE / "faults.json"
    parts = json.loads(file.read_text()) if file.exists() else {}
    return parts.get(part, {}).get("lines", [])


def keep(part: str, lines: list[str]) -> None:
    """Prints the lines of a part, keeps them, and writes the page anew."""
    print("\n".join(lines), flush=True)
    file = HERE / "faults.json"
    parts = json.loads(file.read_text()) if file.exists() else {}
    with_what = (
        f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}, numpy "
        f"{np.__version__}"
    )
    parts[part] = {"with": with_what, "lines": lines}
    file.write_text(json.dumps(parts, indent=1) + "\n")
    page = [_BEGIN]
    for name, title in PARTS.items():
        if name in parts:
            told = "\n".join(parts[name]["lines"])
            page.append(
                f"## {title}\n\n{told}\n\n`bench/faults_{name}.py`, {parts[name]['with']}.\n"
            )
    (HERE / "FAULTS.md").write_text("\n".join(page))
