import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="not run from a checkout")
def test_example_of_the_readme_runs(capsys):
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(compile(block, str(README), "exec"), {})
    assert "p(x2 | x1)" in capsys.readouterr().out
