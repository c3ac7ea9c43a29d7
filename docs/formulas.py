"""A Sphinx extension that renders formulas as MathML when the pages are built."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from vaetheory.report.mathematics import is_long, mathml, parsed, untranslated

_LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _markup(node: nodes.math | nodes.math_block, *, display: bool) -> str:
    """The formula as MathML, with a warning if a command is not translated."""
    tex = node.astext()
    unknown = untranslated(tex)
    if parsed(tex) is None or unknown:
        _LOGGER.warning("cannot be shown as MathML %s: %s", unknown, tex, location=node)
    return mathml(tex, display=display)


def _inline(self: Any, node: nodes.math) -> None:
    markup = _markup(node, display=False)
    # A formula that may be wider than a narrow screen is a box that scrolls.
    kind = 'class="math long" tabindex="0"' if is_long(markup) else 'class="math"'
    self.body.append(f"<span {kind}>{markup}</span>")
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math", TABINDEX="0"))
    if node.get("number"):
        self.body.append(f'<span class="eqno">({node["number"]})</span>')
    self.body.append(f"{_markup(node, display=True)}</div>\n")
    raise nodes.SkipNode
