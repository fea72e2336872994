"""What mkdocs is told beside `mkdocs.yml`: what the documentation links to beside itself, pages of
measurements and examples, is on the site, too."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parent.parent
_BESIDE = re.compile(r"\]\(\.\./((?:bench|examples)/[^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Adds what any page links to."""
    pages = Path(config["docs_dir"]).glob("*.md")
    for path in sorted({path for page in pages for path in _BESIDE.findall(page.read_text())}):
        file = File.generated(
            config, path, abs_src_path=str(ROOT / path), inclusion=InclusionLevel.NOT_IN_NAV
        )
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to where these are on the site."""
    return _BESIDE.sub(r"](\1", markdown)
