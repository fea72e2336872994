"""Small images side by side, as one picture."""

import numpy as np
from matplotlib.figure import Figure

from ._style import INK, MUTED, new_figure


def draw_mosaic(
    tiles: np.ndarray,
    *,
    rows: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
) -> Figure:
    """Tiles `(row, column, height, width, channel)` with names for the rows and columns.

    One grey scale serves all of them, from the smallest value to the largest; three channels
    are red, green and blue. NaN is transparent, and so are the seams.
    """
    height, width = tiles.shape[2:4]
    picture = _sew(_colours(tiles), max(1, round(min(height, width) / 12)))
    side = min(1.1, 6.3 / tiles.shape[1])
    inches = (tiles.shape[1] * side, tiles.shape[0] * side * height / width)
    figure = new_figure(inches[0] + (0.9 if rows else 0.2), inches[1] + (0.7 if columns else 0.3))
    axes = figure.subplots()
    axes.imshow(picture, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    down = picture.shape[0] / tiles.shape[0] * (np.arange(tiles.shape[0]) + 0.5) - 0.5
    across = picture.shape[1] / tiles.shape[1] * (np.arange(tiles.shape[1]) + 0.5) - 0.5
    axes.set_yticks(down if rows else [], rows, parse_math=False)
    axes.set_xticks(across if columns else [], columns, parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, labelcolor=INK)
    axes.tick_params(axis="x", labelcolor=MUTED)
    return figure


def _colours(tiles: np.ndarray) -> np.ndarray:
    """Red, green, blue and opacity for every pixel, each from 0 to 255."""
    finite = tiles[np.isfinite(tiles)]
    low = finite.min() if finite.size else 0.0
    reach = np.ptp(finite) if finite.size else 1.0
    scaled = (tiles - low) / max(reach, 1e-12)
    if tiles.shape[-1] != 3:
        scaled = np.repeat(scaled[..., :1], 3, axis=-1)
    opacity = np.isfinite(scaled).all(axis=-1, keepdims=True)
    both = np.concatenate([np.nan_to_num(scaled), opacity], axis=-1)
    return np.rint(255 * np.clip(both, 0, 1)).astype(np.uint8)


def _sew(tiles: np.ndarray, seam: int) -> np.ndarray:
    """Tiles with a transparent seam about each, as one picture `(height, width, 4)`."""
    padded = np.pad(tiles, ((0, 0), (0, 0), (seam, seam), (seam, seam), (0, 0)))
    rows, columns, height, width, colours = padded.shape
    return padded.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, colours)
