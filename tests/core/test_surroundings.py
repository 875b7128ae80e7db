import os
from pathlib import Path

import pytest

from trigger_ml.core import surroundings
from trigger_ml.core.errors import InputError
from trigger_ml.core.surroundings import cache_folder, require_private


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # pytest's own folder is private, whatever its parents are
    monkeypatch.setattr(surroundings, "_own_group", lambda gid: False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_cache_is_the_users_alone(home: Path) -> None:
    folder = cache_folder("simulators")
    assert folder == home / ".cache" / "trigger_ml" / "simulators"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_named_cache_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert cache_folder() == home / "elsewhere" / "trigger_ml"


@pytest.mark.parametrize("named", ["cache", "./cache", ""])
def test_a_relative_cache_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_folder() == home / ".cache" / "trigger_ml"
    surroundings.settle_caches()
    assert "XDG_CACHE_HOME" not in surroundings.os.environ
    assert not (home / "cache").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(home: Path, mode: int) -> None:
    folder = home / ".cache" / "trigger_ml"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(InputError, match=f"others can write to {folder}"):
        cache_folder()


def test_a_folder_below_one_that_others_can_write_to_is_refused(home: Path) -> None:
    folder = cache_folder("simulators")
    (home / ".cache").chmod(0o777)
    with pytest.raises(InputError, match=rf"others can write to {home / '.cache'}"):
        require_private(folder)
    # the sticky bit lets nobody replace what is another's
    (home / ".cache").chmod(0o1777)
    require_private(folder)


def test_a_file_that_others_can_write_is_refused(home: Path) -> None:
    binary = cache_folder() / "simulator"
    binary.touch(mode=0o644)
    require_private(binary)
    binary.chmod(0o666)
    with pytest.raises(InputError, match="simulator: what it holds would be trusted"):
        require_private(binary)


def test_what_belongs_to_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder()
    if folder.stat().st_uid == 0:
        # what belongs to root is trusted by all
        os.chown(folder, 4321, -1)
    else:
        monkeypatch.setattr(surroundings.os, "geteuid", lambda: 4321)
    with pytest.raises(InputError, match="belongs to another user"):
        require_private(folder)


def test_an_unusable_home_gives_a_temporary_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("HOME", str(home / "file"))
    folder = cache_folder("simulators")
    assert folder.is_dir()
    assert home not in folder.parents


def test_numba_gets_a_cache_where_there_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("HOME", str(home / "file"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    surroundings.settle_caches()
    usual = surroundings.os.environ.get("NUMBA_CACHE_DIR")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(surroundings, "_beside_libraries", lambda: False)
    surroundings.settle_caches()
    temporary = surroundings.os.environ["NUMBA_CACHE_DIR"]
    assert Path(temporary).is_dir()
    assert usual in (None, temporary)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
