from __future__ import annotations

from importlib.metadata import version

from conftest import REPOSITORY
from packaging.version import Version

import lcageo
from lcageo.version import __version__


def test_it_is_a_version_in_its_normal_form() -> None:
    assert str(Version(__version__)) == __version__


def test_the_package_and_what_is_installed_have_it() -> None:
    assert lcageo.__version__ == __version__ == version("lcageo")


def test_the_changelog_has_an_entry_for_it() -> None:
    headings = [line for line in (REPOSITORY / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert any(__version__ in heading for heading in headings)
