import re
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="not run from a checkout")
def test_examples_of_the_readme_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(compile(block, str(README), "exec"), {})
    assert "p(x2 | x1)" in capsys.readouterr().out
    assert (tmp_path / "large_cells.png").stat().st_size > 10_000
