"""Pages hold no placeholders, link to files that exist, and name all that is public."""

import re
from pathlib import Path

import pytest

import skdiffusion

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("guide/*.md")]
PLACEHOLDERS = r"^(TABLE|SOLVER|MEASURED|TODO|TBD)$"
PUBLIC = (
    "datasets",
    "displays",
    "graphs",
    "metrics",
    "outliers",
    "pipeline",
    "transformers",
)


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_hold_no_placeholders(page):
    assert not re.search(PLACEHOLDERS, page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_code_can_be_read(page):
    for block in python_blocks(page):
        compile(block, str(page), "exec")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_every_example_has_its_place_in_the_gallery(path):
    assert path.name in (DOCS / "_gallery_order.py").read_text()


def public_names():
    names = {name for name in skdiffusion.__all__ if name not in PUBLIC}
    for package in PUBLIC:
        module = getattr(skdiffusion, package)
        names |= set(getattr(module, "__all__", ()))
    return sorted(names)


@pytest.mark.parametrize("name", public_names())
def test_everything_public_is_in_the_reference(name):
    reference = (DOCS / "api" / "index.rst").read_text()
    assert re.search(rf"^   {name}$", reference, re.MULTILINE)


def test_page_on_extending_runs():
    """Its blocks build a denoiser and hold it to a closed form."""
    page, names = DOCS / "extending.md", {}
    blocks = python_blocks(page)
    assert "assert" in blocks[-1]
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
