"""`vaetheory new`."""

from __future__ import annotations

import argparse
import keyword
import os
import re
from pathlib import Path
from string import Template
from typing import Any

from vaetheory._files import replacing
from vaetheory.cli._paths import folder

_TEMPLATES = Path(__file__).parent / "templates"


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("new", help="write a commented file that you can change")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    claim = kinds.add_parser(
        "claim", help="write a claim of your own, which runs, and a test of it"
    )
    claim.add_argument("name", metavar="NAME", help="its label, for example my-claim")
    claim.add_argument("--out", default=".", metavar="DIR", help="folder for the files (.)")
    claim.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files and print their names and the commands that run them."""
    label = options.name.replace("_", "-")
    module = label.replace("-", "_")
    if not re.fullmatch(r"[a-z]\w*", module, re.ASCII) or keyword.iskeyword(module):
        raise ValueError(
            "NAME: expected a letter and then letters, digits and hyphens, all of them small, got "
            f"{options.name!r:.80}"
        )
    place = folder("--out", options.out)
    texts = {
        place / f"{module}.py": _TEMPLATES / "claim.py.txt",
        place / f"test_{module}.py": _TEMPLATES / "test_claim.py.txt",
    }
    for path in texts:
        if os.path.lexists(path):
            raise ValueError(f"NAME: expected a name that is not taken, got {path}, which exists")
    words = {
        "label": label,
        "module": module,
        "file": f"{module}.py",
        "title": label.replace("-", " ").capitalize(),
    }
    for path, template in texts.items():
        text = Template(template.read_text(encoding="utf-8")).substitute(words)
        with replacing(path) as draft:
            draft.write_text(text, encoding="utf-8")
        print(path)
    claim, test = texts
    print(f"run it:  vaetheory verify {claim}")
    print(f"test it: python -m pytest {test}")
    return 0
