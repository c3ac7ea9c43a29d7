"""The graph of dependencies between propositions in SVG, with one lane for each claim.

A proposition is drawn to the right of all propositions that it uses, so every arrow points right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from vaetheory.report._markup import Markup, element

_LETTER, _PAD = 7.4, 8.0
_ROW, _NODE, _GAP = 34.0, 24.0, 34.0


@dataclass(frozen=True)
class Node:
    """A proposition in the graph.

    Attributes
    ----------
    label, title : str
    lane : str
        The claim.
    uses : tuple of str
        Labels of the propositions that it uses; those outside the graph are left out.
    href : str
        The target of the link.
    style : str
        CSS class of the node.
    """

    label: str
    title: str
    lane: str
    uses: tuple[str, ...]
    href: str
    style: str = ""


def depths(nodes: Sequence[Node]) -> dict[str, int]:
    """The depth of each node: 0 if it uses no node of the graph, else 1 + the greatest it uses.

    Raises
    ------
    ValueError
        If the dependencies form a circle.

    Examples
    --------
    >>> depths([Node("a", "", "", (), ""), Node("b", "", "", ("a", "elsewhere"), "")])
    {'a': 0, 'b': 1}
    """
    known = {node.label: node for node in nodes}
    depth: dict[str, int] = {}
    left = list(known)
    while left:
        ready = [
            label
            for label in left
            if all(used in depth or used not in known for used in known[label].uses)
        ]
        if not ready:
            raise ValueError(f"uses: expected no circle, got one among {', '.join(left)}")
        for label in ready:
            below = [depth[used] for used in known[label].uses if used in known]
            depth[label] = 1 + max(below, default=-1)
        left = [label for label in left if label not in depth]
    return {label: depth[label] for label in known}


def dependency_graph(nodes: Sequence[Node], *, title: str) -> Markup:
    """Draw the graph: lanes in the order of the claims, arrows from used propositions to users.

    Parameters
    ----------
    nodes : sequence of Node
    title : str
        The text for screen readers.

    Returns
    -------
    Markup
        An `svg` element with the CSS classes `lane`, `edge` and `node` and without styles.
    """
    depth = depths(nodes)
    columns = _columns(nodes, depth)
    lanes: dict[str, dict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
    for node in nodes:
        lanes[node.lane][depth[node.label]].append(node)
    place: dict[str, tuple[float, float]] = {}
    drawn: list[Markup] = []
    top = 0.0
    # The names of the lanes have their own column, which no arrow crosses.
    left = 2 * _PAD + _LETTER * max((len(lane) for lane in lanes), default=0)
    width = left + sum(w + _GAP for w in columns) + _PAD
    for number, (lane, stacks) in enumerate(lanes.items()):
        height = _ROW * max(len(stack) for stack in stacks.values()) + _PAD
        shade = "lane even" if number % 2 else "lane odd"
        drawn.append(
            element("rect", class_=shade, x=0, y=top, width=f"{width:.0f}", height=f"{height:.0f}")
        )
        drawn.append(element("text", lane, class_="lane", x=_PAD, y=f"{top + _PAD + 16:.0f}"))
        for column, stack in stacks.items():
            x = left + sum(w + _GAP for w in columns[:column])
            for row, node in enumerate(stack):
                place[node.label] = (x, top + _PAD + _ROW * row)
        top += height
    edges = [
        _edge(place[used], _width(used), place[node.label])
        for node in nodes
        for used in node.uses
        if used in place
    ]
    return element(
        "svg",
        element("title", title),
        *drawn,
        *edges,
        *[_box(node, *place[node.label]) for node in nodes],
        class_="dependencies",
        role="group",
        aria_label=title,
        viewBox=f"0 0 {width:.0f} {top:.0f}",
        width=f"{width:.0f}",
        height=f"{top:.0f}",
    )


def _width(label: str) -> float:
    return _LETTER * len(label) + 16


def _columns(nodes: Sequence[Node], depth: dict[str, int]) -> list[float]:
    """Width of the widest node at each depth."""
    widths = [0.0] * (1 + max(depth.values(), default=0))
    for node in nodes:
        at = depth[node.label]
        widths[at] = max(widths[at], _width(node.label))
    return widths


def _edge(start: tuple[float, float], width: float, end: tuple[float, float]) -> Markup:
    x, y = start[0] + width, start[1] + _NODE / 2
    u, v = end[0], end[1] + _NODE / 2
    bend = max(24.0, (u - x) / 2)
    curve = f"M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {u - bend:.0f} {v:.0f} {u - 5:.0f} {v:.0f}"
    return element("path", class_="edge", d=f"{curve}l-1 -3l6 3l-6 3l1 -3")


def _box(node: Node, x: float, y: float) -> Markup:
    width = _width(node.label)
    return element(
        "a",
        element("title", f"{node.label}: {node.title}"),
        element("rect", x=f"{x:.0f}", y=f"{y:.0f}", width=f"{width:.0f}", height=_NODE, rx=5),
        element(
            "text",
            node.label,
            x=f"{x + width / 2:.0f}",
            y=f"{y + 16:.0f}",
            text_anchor="middle",
        ),
        href=node.href,
        class_=f"node {node.style}".rstrip(),
        aria_label=f"{node.label}: {node.title}",
    )
