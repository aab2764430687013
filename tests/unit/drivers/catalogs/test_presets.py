import os
from pathlib import Path

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.drivers.catalogs.presets import LARGEST_BYTES, PresetFiles, shipped_presets

OWN_POOL = 'slug = "translation"\nmodels = ["mine"]\n'


def folder_with(home: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = home / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".toml").write_text(text)
    return home


def test_shipped_files_come_first_and_the_operator_s_after(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, tasks__b="x = 1", tasks__a="x = 2", routers__c="x = 3", openai="x = 4")
    (folder / "tasks/.hidden.toml").write_text("x = 5")
    (folder / "tasks/notes.txt").write_text("x = 6")
    found = PresetFiles(folder).texts()
    shipped = len(shipped_presets())
    assert found[:shipped] == shipped_presets()
    assert [(each.kind, each.name, each.file, each.data) for each in found[shipped:]] == [
        ("task", "a", str(folder / "tasks/a.toml"), b"x = 2"),
        ("task", "b", str(folder / "tasks/b.toml"), b"x = 1"),
        ("router", "c", str(folder / "routers/c.toml"), b"x = 3"),
    ]


def test_shipped_files_are_shown_by_their_folder() -> None:
    assert {each.file.rpartition("/")[0] for each in shipped_presets()} == {"shipped/tasks", "shipped/routers"}


def test_an_operator_s_file_changes_a_shipped_task_and_every_router_with_it(tmp_path: Path) -> None:
    presets = PresetFiles(folder_with(tmp_path, tasks__translation=OWN_POOL)).read()
    shipped = PresetFiles(None).read()
    assert presets.tasks["translation"].models == ("mine",)
    assert presets.tasks["translation"].description == shipped.tasks["translation"].description
    policy = presets.routers["general"].router.policy_of("translation")
    assert policy is not None
    assert policy.models == ("mine",)


def test_an_operator_s_task_and_router_are_added(tmp_path: Path) -> None:
    task = 'slug = "refund"\nname = "Refund"\ncategory = "Own"\ndescription = "Money back."\nmodels = ["mine"]\n'
    router = (
        'slug = "desk"\ndisplay_name = "Desk"\nshort_description = "A desk."\nlong_description = "A desk."\n'
        'fallback_models = ["mine"]\n[[policies]]\ntask_slug = "refund"\n[[policies]]\ntask_slug = "translation"\n'
    )
    presets = PresetFiles(folder_with(tmp_path, tasks__refund=task, routers__desk=router)).read()
    assert [each.task.slug for each in presets.routers["desk"].router.policies] == ["refund", "translation"]


@pytest.mark.parametrize("folder", [None, Path("nowhere")])
def test_no_folder_is_no_files_of_the_operator(folder: Path | None, tmp_path: Path) -> None:
    files = PresetFiles(folder and tmp_path / folder)
    assert files.texts() == shipped_presets()
    assert files.digest() == PresetFiles(None).digest()


def test_the_digest_changes_with_every_change_and_only_then(tmp_path: Path) -> None:
    files = PresetFiles(folder_with(tmp_path, openai="x = 1"))
    seen = [files.digest()]
    path = tmp_path / "tasks/a.toml"
    folder_with(tmp_path, tasks__a="x = 1")
    seen.append(files.digest())
    path.write_text("x = 12")
    seen.append(files.digest())
    os.utime(path, ns=(1, 1))
    seen.append(files.digest())
    (tmp_path / "routers").mkdir()
    path.rename(tmp_path / "routers/a.toml")
    seen.append(files.digest())
    assert len(set(seen)) == 5
    assert files.digest() == seen[-1]
    (tmp_path / "routers/a.toml").unlink()
    assert files.digest() == seen[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/a.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigInvalid, match=r"tasks/a\.toml: cannot be read"):
        PresetFiles(tmp_path).read()
    assert PresetFiles(tmp_path).digest() == PresetFiles(None).digest()


def test_a_file_that_is_too_large_is_named(tmp_path: Path) -> None:
    folder_with(tmp_path, routers__a="")
    with (tmp_path / "routers/a.toml").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(ConfigInvalid, match=r"a\.toml: 1048577 bytes"):
        PresetFiles(tmp_path).read()
