"""A Sphinx extension that links every picture to its full size and puts it in a scrollable box."""

from __future__ import annotations

from html import escape
from posixpath import join
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the writer of pictures."""
    app.add_node(nodes.image, override=True, html=(_visit, _depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit(self: Any, node: nodes.image) -> None:
    if "/thumb/" in node["uri"]:
        # In the gallery, where the title beside it leads to the page.
        after = node.parent[node.parent.index(node) + 1 :]
        node["alt"] = f"Picture of: {after[0].astext()}" if after else ""
        HTML5Translator.visit_image(self, node)
        return
    label = escape(f"Figure: {node.get('alt', '')}".rstrip(": "), quote=True)
    self.body.append(f'<span class="picture" tabindex="0" role="region" aria-label="{label}">')
    name = self.builder.images.get(node["uri"])
    if name:
        address = escape(join(self.builder.imgpath, quote(name)), quote=True)
        self.body.append(f'<a href="{address}" title="The figure in full size">')
    HTML5Translator.visit_image(self, node)
    self.body.append("</a></span>" if name else "</span>")


def _depart(self: Any, node: nodes.image) -> None:
    HTML5Translator.depart_image(self, node)
