"""The examples of README.md run."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_examples():
    assert len(BLOCKS) >= 2, "README.md has lost its examples"


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_example_runs(number, capsys):
    exec(compile(BLOCKS[number], f"README.md, example {number + 1}", "exec"), {})
    out = capsys.readouterr().out
    assert out.strip(), "the example prints nothing"
    assert "nan" not in out, f"the example prints {out}"
