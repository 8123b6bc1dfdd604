from pathlib import Path

import pytest

from tools import set_up


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "constraints.txt", "tools/set_up.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    return tmp_path


def test_nothing_is_ready_before_a_stamp(root: Path) -> None:
    assert not set_up.is_ready(root / ".venv", name="studio", root=root)


@pytest.mark.parametrize(("stamped", "wanted"), [("studio", "studio"), ("dev", "studio"), ("dev", "dev")])
def test_an_environment_satisfies_what_it_holds(root: Path, stamped: str, wanted: str) -> None:
    set_up.write_stamp(root / ".venv", name=stamped, root=root)
    assert set_up.is_ready(root / ".venv", name=wanted, root=root)


def test_the_server_for_the_tests_holds_nothing_of_the_studio_and_the_studio_nothing_of_it(
    root: Path,
) -> None:
    assert set_up.ENVIRONMENTS["s3"].purpose == "swift"
    assert set_up.ENVIRONMENTS["dev"].purpose == "text2song[dev]"
    set_up.write_stamp(root / ".venv", name="dev", root=root)
    assert not set_up.is_ready(root / ".venv", name="s3", root=root)
    set_up.write_stamp(root / ".venv", name="s3", root=root)
    assert set_up.is_ready(root / ".venv", name="s3", root=root)
    assert not set_up.is_ready(root / ".venv", name="studio", root=root)


def test_the_studio_alone_is_not_enough_for_development(root: Path) -> None:
    set_up.write_stamp(root / ".venv", name="studio", root=root)
    assert not set_up.is_ready(root / ".venv", name="dev", root=root)


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt", "tools/set_up.py"])
def test_a_change_of_what_is_installed_outdates_the_stamp(root: Path, changed: str) -> None:
    set_up.write_stamp(root / ".venv", name="dev", root=root)
    (root / changed).write_text("something else")
    assert not set_up.is_ready(root / ".venv", name="dev", root=root)


def test_a_moved_folder_is_not_ready(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    set_up.write_stamp(root / ".venv", name="dev", root=root)
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    root.rename(moved)
    assert not set_up.is_ready(moved / ".venv", name="dev", root=moved)


def test_an_environment_without_its_python_is_not_ready(root: Path) -> None:
    set_up.write_stamp(root / ".venv", name="dev", root=root)
    (root / ".venv" / "bin" / "python").unlink()
    (root / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert not set_up.is_ready(root / ".venv", name="dev", root=root)


def test_a_damaged_stamp_is_no_stamp(root: Path) -> None:
    (root / ".venv" / set_up.STAMP).write_text('{"name": ')
    assert set_up.read_stamp(root / ".venv") == {}


def test_uv_chooses_torch_unless_the_person_has_chosen() -> None:
    assert set_up.torch_options({}) == ["--torch-backend=auto"]
    assert set_up.torch_options({"PIP_FIND_LINKS": ""}) == ["--torch-backend=auto"]
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_TORCH_BACKEND", "TORCH_FROM_INDEX"):
        assert set_up.torch_options({variable: "something"}) == []


def test_pips_variables_reach_uv() -> None:
    given = {"PIP_FIND_LINKS": "wheels more", "PIP_INDEX_URL": "mirror", "PIP_NO_INDEX": "1", "A": "1"}
    environ = set_up.shared_environment(given)
    assert environ["UV_FIND_LINKS"] == "wheels,more"  # pip separates by spaces, uv by commas
    assert environ["UV_DEFAULT_INDEX"] == "mirror"
    assert environ["UV_OFFLINE"] == "1"
    assert environ["A"] == "1"


@pytest.mark.parametrize("index", ["https://mirror/simple?a=b", "ours=https://mirror/simple?a=b"])
def test_uvs_variables_reach_pip_which_fetches_uv(index: str) -> None:
    given = {"UV_FIND_LINKS": "wheels,more", "UV_DEFAULT_INDEX": index, "UV_OFFLINE": "1"}
    environ = set_up.shared_environment(given)
    assert environ["PIP_FIND_LINKS"] == "wheels more"
    assert environ["PIP_INDEX_URL"] == "https://mirror/simple?a=b"
    assert environ["PIP_NO_INDEX"] == "1"
    assert environ["UV_DEFAULT_INDEX"] == index


def test_nothing_is_made_up() -> None:
    assert set_up.shared_environment({"A": "1"}) == {"A": "1"}


def test_uvs_own_variables_win() -> None:
    environ = set_up.shared_environment({"PIP_FIND_LINKS": "pip", "UV_FIND_LINKS": "uv"})
    assert (environ["PIP_FIND_LINKS"], environ["UV_FIND_LINKS"]) == ("pip", "uv")


def test_a_download_is_the_largest_fitting_file_of_each_package(tmp_path: Path) -> None:
    wheel = tmp_path / "torch.whl"
    wheel.write_bytes(b"x" * 5_000_000)
    lock = {
        "packages": [
            {"name": "text2song", "directory": {"path": "."}},
            {"name": "numpy", "wheels": [{"url": "a", "size": 1_000_000}, {"url": "b", "size": 3_000_000}]},
            {"name": "torch", "wheels": [{"url": wheel.as_uri()}]},  # a local file has no size in the lock
            {"name": "old", "sdist": {"url": "c", "size": 2_000_000}},
            {"name": "gone", "wheels": [{"url": (tmp_path / "gone.whl").as_uri()}]},
        ]
    }
    download = set_up.measure_download(lock)
    assert download == set_up.Download(packages=4, size_bytes=10_000_000, unknown=("gone",))
    assert "at most 10 MB in 4 packages" in set_up.describe_download(download)
    assert "does not tell: gone" in set_up.describe_download(download)
