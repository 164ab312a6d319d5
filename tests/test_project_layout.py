# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "awala"
PACKAGES = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
SPDX = "# SPDX-License-Identifier: MIT"


def python_files():
    return sorted(path for top in ("src", "tests", "scripts", "benchmarks") for path in _own(ROOT / top))


def _own(folder):
    return (path for path in folder.rglob("*.py") if "node_modules" not in path.parts)


def test_every_file_names_the_licence():
    assert [str(file) for file in python_files() if not file.read_text().startswith(SPDX)] == []


def test_test_modules_have_unique_names():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_readme(package):
    assert (SOURCE / package / "README.md").is_file()


@pytest.mark.parametrize("name", ["run", "test", "lint", "fuzz"])
def test_pinned_requirements_have_hashes_and_name_no_host(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#", "--"))]

    assert "://" not in text
    assert all("==" in pin and pin.endswith("\\") for pin in pins)


@pytest.mark.parametrize("name", ["production", "newest"])
def test_npm_packages_are_pinned_without_lock_file_or_host(name):
    folder = ROOT / "tests" / "interop" / "js" / name
    text = (folder / "package.json").read_text()
    packages = json.loads(text)
    versions = [*packages["dependencies"].values(), *packages["overrides"].values()]

    assert [version for version in versions if not version.replace(".", "").isdecimal()] == []
    assert "://" not in text
    assert not (folder / "package-lock.json").exists()


def test_the_libraries_of_the_kotlin_peer_are_pinned_without_a_registry():
    text = (ROOT / "tests" / "interop" / "kotlin" / "pom.xml").read_text()
    script = (ROOT / "scripts" / "kotlin_peer.py").read_text()
    pins = dict(re.findall(r"<([a-z-]+)\.version>([0-9.]+)<", text))

    assert "<repositor" not in text
    assert "<pluginRepositor" not in text
    assert dict(re.findall(r'"([a-z-]+)": \("[a-z-]+", "v([0-9.]+)"\)', script)).items() <= pins.items()


def test_each_set_of_requirements_holds_the_smaller_one():
    def pins(name):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return {line.split(" ")[0] for line in text.splitlines() if line[:1].isalnum()}

    assert pins("run") < pins("test") < pins("lint")
    assert pins("test") < pins("fuzz")


def test_every_dependency_of_the_package_is_pinned():
    with (ROOT / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["servers"]]
    names = {item.split(">")[0].split("[")[0] for item in wanted}
    text = (ROOT / "requirements" / "run.txt").read_text()

    assert {name for name in names if f"\n{name}==" not in f"\n{text}"} == set()
