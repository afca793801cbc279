"""What is installed from a built wheel, not from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"cli", "models", "service", "training"}


def run(*command: str | Path, **environment: str) -> str:
    """What a command prints, away from the checkout; fails the test where it fails."""
    done = subprocess.run(
        command, cwd=Path("/"), env={**os.environ, **environment}, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels by distribution name, built from a copy: setuptools leaves its work in the sources."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    ignored = shutil.ignore_patterns(
        ".*", "*.egg-info", "build", "__pycache__", "demo-output", "models-repository"
    )
    shutil.copytree(ROOT, sources, dirs_exist_ok=True, ignore=ignored)
    # No isolation: a test installs nothing. `make install` and the image build with it.
    pip_wheel = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip_wheel, "--wheel-dir", built, sources, sources / "client")
    return {path.name.partition("-")[0]: path for path in built.glob("*.whl")}


def files_of(wheel: Path) -> set[str]:
    """The wheel's files, as paths."""
    return set(zipfile.ZipFile(wheel).namelist())


def sources_of(package: Path) -> set[str]:
    """The package's code in the checkout, as the paths a wheel should have."""
    return {str(path.relative_to(package.parent)) for path in package.rglob("*.py*") if path.suffix != ".pyc"}


def test_the_server_wheel_holds_its_packages_and_no_tests(wheels: dict[str, Path]) -> None:
    """Every module of the four packages and the page's files are inside, and nothing else but metadata."""
    files = files_of(wheels["statecast_server"])
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == PACKAGES
    for package in PACKAGES:
        assert sources_of(ROOT / package) <= files
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "service/web/page").rglob("*") if path.is_file()}
    assert "service/web/page/index.html" in page
    assert page <= files


def test_the_client_wheel_holds_stubs_and_types(wheels: dict[str, Path]) -> None:
    """The client's wheel has its modules, generated stubs with their types, and the typing marker."""
    files = files_of(wheels["statecast"])
    assert {name.split("/")[0] for name in files if ".dist-info/" not in name} == {"statecast"}
    assert sources_of(ROOT / "client" / "statecast") <= files
    assert {
        "statecast/py.typed",
        "statecast/v1/forecast_pb2.pyi",
        "statecast/v1/forecast_pb2_grpc.py",
    } <= files


@pytest.mark.parametrize("name", ["statecast", "statecast_server"])
def test_the_licence_travels_with_the_code(wheels: dict[str, Path], name: str) -> None:
    """Each wheel carries the licence."""
    assert any(path.endswith("/licenses/LICENSE") for path in files_of(wheels[name]))


def test_the_command_runs_from_the_wheels(wheels: dict[str, Path], tmp_path: Path) -> None:
    """Installed from wheels alone, `statecast` lists its commands."""
    pip_install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip_install, "--target", tmp_path, *wheels.values())
    where = run(sys.executable, "-c", "import cli.main; print(cli.main.__file__)", PYTHONPATH=str(tmp_path))
    assert Path(where.strip()).is_relative_to(tmp_path)
    listed = run(tmp_path / "bin" / "statecast", "--help", PYTHONPATH=str(tmp_path))
    assert all(command in listed for command in ("train", "serve", "stream"))
