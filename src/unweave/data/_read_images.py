"""Pictures: idx files as MNIST has them, and folders of png and jpg files."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from ._guard import DataError, check_size, existing, parsing, quoted, read_bytes
from ._read_arrays import Rows, observations

_ENDINGS = (".png", ".jpg", ".jpeg")
_GREY = ("1", "L", "LA")
_MODES = (*_GREY, "P", "RGB", "RGBA")


def read_idx(path: Path) -> Rows:
    """The pictures of an idx file of bytes, with the labels file found beside it by name."""
    pictures = _idx(path)
    if pictures.ndim not in (3, 4):
        raise DataError(
            f"{quoted(path)} has {pictures.ndim} axes; give the file of the pictures, whose "
            "labels are found beside it."
        )
    beside = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    plain = beside.removesuffix(".gz")
    for other in (path.with_name(plain), path.with_name(f"{plain}.gz")):
        if other.name not in (path.name, path.name.removesuffix(".gz")) and other.is_file():
            labels = _idx(other)
            if labels.shape != pictures.shape[:1]:
                raise DataError(
                    f"{quoted(other)} has labels of shape {labels.shape} for "
                    f"{len(pictures):,} pictures; one is needed a picture."
                )
            return Rows(observations(path, pictures), labels)
    return Rows(observations(path, pictures))


def _idx(path: Path) -> np.ndarray:
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or not 1 <= data[3] <= 4:
        raise DataError(f"{quoted(path)} is not an idx file; its first bytes are wrong.")
    if data[2] != 8:
        raise DataError(f"{quoted(path)} is an idx file of type {data[2]}; bytes (8) are read.")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"{quoted(path)} ends within its header; it is damaged or cut.")
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", data[3], 4))
    if math.prod(shape) != len(data) - start or not math.prod(shape):
        raise DataError(
            f"{quoted(path)} declares an array of shape {shape}, {math.prod(shape):,} bytes, "
            f"but has {len(data) - start:,} bytes of it; it is damaged or cut."
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def pictures_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The picture files of a folder in order, and their classes where it has sub-folders."""
    direct = sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    if direct:
        return direct, []
    nested = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in _ENDINGS)
    return nested, [file.parent.name for file in nested]


def read_image_folder(folder: Path) -> Rows:
    """The pictures of a folder, all of one size; its sub-folders, if any, are their classes."""
    files, classes = pictures_in(folder)
    if not files:
        raise DataError(
            f"the folder {quoted(folder)} has no png or jpg pictures, no WFDB headers (.hea) "
            "and no tables in it."
        )
    size, grey = _size(files[0]), True
    held = 0
    for file in files:
        this = _size(file)
        if this[:2] != size[:2]:
            raise DataError(
                f"{quoted(file)} is {this[0]} x {this[1]} pixels and {quoted(files[0].name)} "
                f"is {size[0]} x {size[1]}; bring all pictures to one size."
            )
        grey = grey and this[2]
        held += file.stat().st_size
    mode, channels = ("L", 1) if grey else ("RGB", 3)
    shape = (len(files), size[1], size[0], channels)
    check_size(folder, math.prod(shape), held, what="pictures")
    array = np.empty(shape, np.uint8)
    for i, file in enumerate(files):
        with parsing(file, "a picture"), Image.open(file, formats=("PNG", "JPEG")) as image:
            array[i] = np.asarray(image.convert(mode)).reshape(shape[1:])
    return Rows(observations(folder, array), np.asarray(classes) if classes else None)


def _size(file: Path) -> tuple[int, int, bool]:
    """Width, height and whether it is grey, from the header alone."""
    held = existing(file).stat().st_size
    with parsing(file, "a picture"), Image.open(file, formats=("PNG", "JPEG")) as image:
        if image.mode not in _MODES:
            raise DataError(
                f"{quoted(file)} is a picture of mode {image.mode}; 8 bits a channel are read."
            )
        width, height = image.size
        check_size(file, width * height * 4, held, what="pixels")
        return width, height, image.mode in _GREY
