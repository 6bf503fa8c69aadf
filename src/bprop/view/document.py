"""One HTML file that needs nothing else: styles and scripts from ``page/`` inlined, nothing fetched, names as text."""

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from ..core.printable import printable


def whole_page(title: str, content: str, styles: Sequence[str], scripts: Sequence[str], live: bool = False) -> str:
    """Return a page.

    - ``content``: HTML; what people named must be escaped in it.
    - ``styles``, ``scripts``: files in ``page/`` without their endings, in order.
    - ``live``: whether it may ask the server that it came from; else it may ask nobody.
    """
    parts = {
        "title": escape(printable(title)),
        "style": "\n".join(page_file(f"{name}.css") for name in styles),
        "script": "\n".join(f"// --- {name}.js\n{page_file(f'{name}.js')}" for name in scripts),
        "content": content,
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page_file("page.html"))
    return page.replace("default-src 'none';", "default-src 'none'; connect-src 'self';", 1) if live else page


def page_file(name: str) -> str:
    """Return a file of ``page/``."""
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


__all__ = ["page_file", "whole_page"]
