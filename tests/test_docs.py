"""What the pages say holds: files and rooms that they name exist, commands parse, code runs."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bprop.cli.command import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *(ROOT / "docs").rglob("*.md")
]  # fmt: skip
BASES = [ROOT, ROOT / "src" / "bprop", ROOT / "src" / "bprop" / "compile"]
WRITTEN = {"runs/"}  # by a command, in the user's own folder

pytestmark = pytest.mark.skipif(
    not (ROOT / "CONTRIBUTING.md").is_file(), reason="not in a checkout: no pages beside tests/"
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@each_page
def test_files_and_rooms_exist(page):
    named = set(re.findall(r"`([\w./-]+(?:\.py|\.md|/))`", prose(page))) - WRITTEN
    named |= set(re.findall(r"`(docs/[\w./-]+|examples/[\w./-]+)`", prose(page)))
    lost = sorted(name for name in named if not any((base / name).exists() for base in BASES))
    assert lost == []


@each_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose(page))
    lost = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert lost == []


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"`(bprop [^`]+)`", prose(page))
    parts = [part.strip() for line in lines for part in line.partition("#")[0].split("&&")]
    return [shlex.split(part)[1:] for part in parts if part.startswith("bprop ")]


@each_page
def test_commands_parse(page):
    for arguments in commands(page):
        result = CliRunner().invoke(app, [one for one in arguments if one != "…"] + ["--help"])
        assert result.exit_code == 0, f"bprop {shlex.join(arguments)}\n{result.output}"


@each_page
def test_code_runs_as_it_stands(page, tmp_path, monkeypatch):
    """One block after the other, as a reader would paste them, with no names but those that the page makes."""
    monkeypatch.chdir(tmp_path)
    if page.name == "CONTRIBUTING.md":
        pytest.skip("its code is a declaration, to be written into the source")
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
