"""Engine files of the package and the operator's."""

from pathlib import Path

from headrace.drivers.catalogs.engines import EngineFiles, shipped_engines

OWN = Path(__file__).parents[4] / "src/headrace/catalog/engine.toml.example"


def test_every_shipped_engine_is_pinned_dated_and_sourced() -> None:
    engines = EngineFiles(None).read()
    assert [each.name for each in engines] == ["sglang", "vllm"]
    for engine in engines:
        assert engine.version in engine.install
        assert engine.version_arguments
        assert engine.checked_on >= "2026-11-28"
        assert set(engine.figures) == {
            "running",
            "waiting",
            "cache_use",
            "input_tokens",
            "cached_tokens",
            "output_tokens",
        }
    assert [each.file for each in shipped_engines()] == ["shipped/engines/sglang.toml", "shipped/engines/vllm.toml"]


def test_an_operator_s_file_is_added_and_the_example_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / "my-server.toml").write_bytes(OWN.read_bytes())
    (folder / ".hidden.toml").write_text("x = 1")
    engines = {each.name: each for each in EngineFiles(tmp_path).read()}
    assert set(engines) == {"my-server", "sglang", "vllm"}
    assert engines["my-server"].file == str(folder / "my-server.toml")


def test_no_folder_is_no_files_of_the_operator(tmp_path: Path) -> None:
    assert len(EngineFiles(tmp_path / "nowhere").texts()) == len(shipped_engines())
