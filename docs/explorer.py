"""The pictures of the explorer in `explorer.md`.

    python docs/explorer.py

fits three small models to built-in data, opens the explorer in a headless Chromium (chromium and
chromedriver must be there), and writes `docs/images/explorer_*.png`.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

import unweave as uw
from unweave import explore
from unweave.cli import main as unweave

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from browser import browser, opened, settled  # noqa: E402

#: Picture, what is explored, the state, the size, whether dark.
SHOTS = (
    ("heartbeats", ("beta-vae", "pca"), "#on=3&show=strange,explain&m=m1", (1280, 860), False),
    ("phase", ("hare and lynx",), "#view=phase", (1280, 700), True),
)


def main() -> None:
    """Writes the pictures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        unweave(["fit", "beta-vae", "heartbeats", "--latents", "8", "--epochs", "60", "--out",
                 str(folder / "beta-vae"), "--no-report", "--quiet"])  # fmt: skip
        unweave(["fit", "pca", "heartbeats", "--latents", "8", "--out", str(folder / "pca"),
                 "--no-report", "--quiet"])  # fmt: skip
        unweave(["fit", "zoo:lotka-volterra", "hare-lynx", "--out", str(folder / "hare and lynx"),
                 "--no-report", "--quiet"])  # fmt: skip
        for picture, runs, state, size, dark in SHOTS:
            explorer = uw.explorer([folder / run for run in runs])
            explore.warm(explorer)
            profile = folder / picture
            with (
                explore.served(explorer) as address,
                browser(profile, width=size[0], height=size[1], dark=dark) as page,
            ):
                opened(page, address)
                page.get("about:blank")
                opened(page, address.partition("?")[0] + state)
                settled(page)
                write(DOCS / "images" / f"explorer_{picture}.png", page.get_screenshot_as_png())


def write(path: Path, png: bytes) -> None:
    """A picture packed as well as it can be."""
    Image.open(io.BytesIO(png)).convert("RGB").save(path, optimize=True)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
