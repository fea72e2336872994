"""The gallery: runs the examples and keeps the figures that they draw.

    python docs/gallery.py [NAME ...]

writes `docs/images/gallery_*` of the examples that are named (all of them: some five minutes on
two cores) and `docs/gallery.md`. Each example runs in an empty folder, with the data that it draws
for itself.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
IMAGES, EXAMPLES = DOCS / "images", DOCS.parent / "examples"
#: Of each figure: the example, the file that it writes, a heading, and what there is to see.
FIGURES = (
    ("digits", "digits_traversal.png", "What latents do",
     "Each row turns one latent of a VAE of 8 x 8 digits from -3 to 3, the others at 0."),
    ("digits", "digits.png", "Samples", "Forty draws of that VAE."),
    ("two_species", "two_species.svg", "Where two species end",
     "The fitted competition equation: where neither grows, where both stand still, and from where "
     "which of them wins."),
    ("your_own_model", "oscillation.svg", "A model of one's own",
     "A class of twenty lines, a damped oscillation; its four latents turned."),
    ("missing_term", "missing_term.svg", "A term that nobody wrote down",
     "How much a predator eats at which density of prey: found by a network within an equation; "
     "the truth is dashed."),
    ("prices", "prices.svg", "Prices", "Draws of a VAE of log-returns, as prices again."),
    ("are_samples_real", "drawn.svg", "Real or drawn?",
     "Real heartbeats, and those of four makers."),
    ("strange_beats", "strange.svg", "What does not fit",
     "The strangest of some heartbeats, with the stretch that is strangest."),
    ("why_this_beat", "why.svg", "Why",
     "A heartbeat that was dented on purpose, and what each sample adds to a model's surprise."),
    ("why_this_beat", "sensitivities.svg", "Which parameter moves what",
     "An equation's exact sensitivities: the course, and its derivatives by its parameters."),
    ("attack_heartbeats", "attacked.svg", "Attacked",
     "Heartbeats as they were, and as an adversary makes them within a smooth budget."),
    ("critics_as_distances", "critics.svg", "What a critic measures",
     "Two critics over the gap between two distributions: one stops telling how far they are."),
)  # fmt: skip


def image_of(example: str, file: str) -> Path:
    """Where a figure of an example is kept."""
    return IMAGES / f"gallery_{example}_{Path(file).stem}{Path(file).suffix}"


def page() -> str:
    """The page: every figure, what there is to see, and what draws it."""
    lines = [
        "# Gallery", "",
        "Every figure here is drawn by a script of the repository, `python examples/NAME.py`, from "
        "data that are built in or simulated; `python docs/gallery.py` draws them all anew. Those "
        "of real data are in the [studies](studies.md), in "
        "[the end of mathematical modelling?](comparisons.md) and on "
        "[the explorer](explorer.md)'s page.", "",
    ]  # fmt: skip
    for example, file, heading, words in FIGURES:
        lines += [
            f"## {heading}", "", f"![{heading}](images/{image_of(example, file).name})", "",
            f"{words} [`examples/{example}.py`](../examples/{example}.py)", "",
        ]  # fmt: skip
    return "\n".join(lines)


def draw(example: str) -> None:
    """Runs an example and keeps its figures."""
    with tempfile.TemporaryDirectory() as folder:
        program = EXAMPLES / f"{example}.py"
        environment = {**os.environ, "MPLBACKEND": "agg"}
        subprocess.run([sys.executable, str(program)], cwd=folder, check=True, env=environment)
        for name, file, _, _ in FIGURES:
            if name == example:
                place = image_of(example, file)
                place.write_bytes((Path(folder) / file).read_bytes())
                print(place)


def main() -> None:
    """Draws what is named, or all, and writes the page."""
    known = tuple(dict.fromkeys(example for example, *_ in FIGURES))
    wanted = sys.argv[1:] or known
    for unknown in set(wanted) - set(known):
        raise SystemExit(f"no figure is of '{unknown}'; there are {', '.join(known)}")
    for example in wanted:
        draw(example)
    (DOCS / "gallery.md").write_text(page())


if __name__ == "__main__":
    main()
