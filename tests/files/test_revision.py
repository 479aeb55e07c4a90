import os
import subprocess
from pathlib import Path

import pytest

from stargan_deploy.files.revision import git_revision


def git(folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a package in it."""
    package = tmp_path / "repository/stargan_deploy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-q", "-m", "first")
    return package.parent


def test_the_revision_of_a_checkout(checkout):
    assert git_revision(checkout / "stargan_deploy") == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("changed", ["__init__.py", "new.py"])
def test_a_changed_package_has_a_plus(checkout, changed):
    (checkout / "stargan_deploy" / changed).write_text("changed = True\n")
    revision = git_revision(checkout / "stargan_deploy")
    assert revision == git(checkout, "rev-parse", "HEAD") + "+"


def test_files_beside_the_package_do_not_matter(checkout):
    (checkout / "results.json").write_text("{}")
    assert not git_revision(checkout / "stargan_deploy").endswith("+")


def test_a_hooks_variables_point_elsewhere(checkout, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert git_revision(checkout / "stargan_deploy") == git(checkout, "rev-parse", "HEAD")


def test_an_installed_tool_does_not_take_its_users_revision(checkout):
    for place in ("venv/lib/site-packages/stargan_deploy", "vendored/stargan_deploy"):
        package = checkout / place
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        assert git_revision(package) is None
    git(checkout, "add", "vendored")
    git(checkout, "commit", "-q", "-m", "second")
    assert git_revision(checkout / "vendored/stargan_deploy") is None


def test_a_package_that_its_repository_ignores(checkout):
    package = checkout / "stargan_deploy"
    git(checkout, "rm", "-q", "--cached", "-r", "stargan_deploy")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "out")
    assert git_revision(package) is None


def test_no_repository_and_no_git(tmp_path, checkout, monkeypatch):
    (tmp_path / "stargan_deploy").mkdir()
    assert git_revision(tmp_path / "stargan_deploy") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(checkout / "stargan_deploy") is None
