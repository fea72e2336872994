"""What becomes of an answer: it is kept in the run's folder, and the page is written again."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..run import Run
from ._output import Result, check_free
from ._progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..report import Answer  # and with it Matplotlib

#: Options that change how an answer is shown, and not what is asked.
_ASIDE = ("--json", "--quiet", "--force", "--no-report")


def answered(
    result: dict[str, Any],
    lines: Sequence[str],
    answers: Sequence[tuple[Run, "Answer"]],
    options: argparse.Namespace,
) -> Result:
    """What was found, after each answer was kept with its run and that run's page was written.

    A folder that cannot be written costs no one the answer: it is said that it was not kept.
    """
    from ..report import keep, write_run_report  # and with it Matplotlib

    result, lines = dict(result), list(lines)
    kept: list[str] = []
    pages: list[str] = []
    lost: list[str] = []
    for run, answer in answers:
        answer = replace(answer, command=_command(options), result=result)
        try:
            kept.append(str(keep(run, answer)))
            if not options.no_report:
                with progress(options, f"writing the page of {run.folder}"):
                    pages.append(str(write_run_report(run)))
        except OSError as error:
            why = error.strerror or type(error).__name__
            lost.append(f"{run.folder} cannot be written ({why}): the answer is not kept.")
    found = {**result, "answers": kept, "reports": pages}
    if lost:
        found["not_kept"] = lost
    return found, "\n".join([*lines, *(f"report: {page}" for page in pages), *lost])


def save_figure(figure: "Figure", path: Path, options: argparse.Namespace) -> str | None:
    """Writes a figure to the file that was named, or into the run's folder; None where that folder
    cannot be written."""
    from .. import plots  # Matplotlib is only loaded where something is drawn

    try:
        return str(plots.save(figure, path))
    except OSError:
        if options.output is not None:
            raise
        return None


def figure_path(options: argparse.Namespace, fitted: Run, name: str, place: int = 0) -> Path:
    """In the run's folder, or the file that was named: of several runs with their numbers."""
    if options.output is None:
        assert fitted.folder is not None
        return fitted.folder / name
    path = Path(options.output)
    path = path.with_stem(f"{path.stem}-{place + 1}") if place else path
    check_free(path, force=options.force)
    return path


def figure_lines(*files: str | None) -> list[str]:
    """Where figures were written."""
    named = [file for file in files if file is not None]
    word = "figure" if len(named) == 1 else "figures"
    return [f"{word}: {', '.join(named)}"] if named else []


def number(value: float | None, unit: str = "", digits: int = 4) -> str:
    """A number for a table, with a true minus; nothing where there is none."""
    if value is None or value != value:
        return ""
    text = f"{value:,.{digits}g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{text.replace('-', '−')} {unit}".rstrip()


def share(value: float | None) -> str:
    """A share in percent."""
    return "" if value is None or value != value else f"{100 * value:.1f} %".replace("-", "−")


def between(low: float, high: float, what: str = "") -> str:
    """The two ends of an interval of shares."""
    return f"{100 * low:.1f} to {100 * high:.1f} %{what}"


def _command(options: argparse.Namespace) -> str:
    """The command line that asks again, without where its files went."""
    words: list[str] = []
    named = False
    for word in getattr(options, "words", ()):
        if not named and word not in _ASIDE and not word.startswith(("-o", "--output")):
            words.append(word)
        named = word in ("-o", "--output")
    return shlex.join(["unweave", *words]) if words else ""
