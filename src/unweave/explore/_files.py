"""The files of the page: as a server gives them one by one, or all in one document."""

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

#: What a browser calls each kind of file.
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_STYLE = '<link rel="stylesheet" href="/page/explorer.css">'
_PLOTLY = '<script src="/page/plotly.min.js" defer></script>'
_MAIN = '<script src="/page/main.js" type="module"></script>'
_IMPORTS = re.compile(r'from "\./(\w+\.js)"')


@cache
def page_files() -> Mapping[str, bytes]:
    """The files by their names, and plotly.js of the Python package."""
    found = {
        file.name: file.read_bytes()
        for file in files("unweave.explore").joinpath("page").iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }
    return {**found, "plotly.min.js": _plotly()}


@cache
def one_document() -> str:
    """The page with its style, its modules and plotly.js within it: what a frame in a notebook
    shows, where there is no server to ask for them."""
    text = {name: content.decode() for name, content in page_files().items()}
    modules = {
        f"unweave/{name}": "data:text/javascript;base64,"
        + base64.b64encode(_IMPORTS.sub(r'from "unweave/\1"', code).encode()).decode()
        for name, code in text.items()
        if name.endswith(".js") and name not in ("plotly.min.js", "notebook.js")
    }
    within = {
        '<html lang="en">': '<html lang="en" data-door="kernel">',
        _STYLE: f"<style>{text['explorer.css']}</style>",
        # no script may hold the letters that end one
        _PLOTLY: "<script>" + text["plotly.min.js"].replace("</script", "<\\/script") + "</script>",
        _MAIN: f'<script type="importmap">{json.dumps({"imports": modules})}</script>'
        '<script type="module">import "unweave/main.js";</script>',
    }
    page = text["index.html"]
    for place, content in within.items():
        before, found, after = page.partition(place)
        assert found, f"the page has no {place}"
        page = before + content + after
    return page


def _plotly() -> bytes:
    """plotly.js as the Python package brings it, whose own import takes a second."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
