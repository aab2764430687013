"""What a text file cannot show: bytes that are no text, line ends, long values."""

from headrace.domain.finding import Finding
from headrace.wire.catalog_file import CatalogFile, CatalogText, read_catalog_file


def read(data: bytes) -> CatalogFile | tuple[Finding, ...]:
    return read_catalog_file(CatalogText("case.toml", "case", "operator", data))


def test_bytes_that_are_not_utf8_are_found_where_they_are() -> None:
    assert read(b'[provider]\nname = "case"\ndisplay_name = "Caf\xe9"\n') == (
        Finding("case.toml", 3, "", "byte 44 is not UTF-8", "Save the file as UTF-8."),
    )


def test_line_ends_of_another_system_count_once() -> None:
    found = read(b'[provider]\r\nname = "case"\r\nbase_url = 7\r\n')
    assert isinstance(found, tuple)
    assert [(each.line, each.path) for each in found] == [(3, "provider.base_url")]


def test_a_long_value_is_shown_cut() -> None:
    found = read(b'[provider]\nname = "' + b"N" * 500 + b'"\n')
    assert isinstance(found, tuple)
    assert found[0].problem == f'"{"N" * 80}…" is not what belongs here'


def test_a_right_file_is_returned_with_its_lines() -> None:
    file = read(b'# mine\n[provider]\nname = "case"\n')
    assert isinstance(file, CatalogFile)
    assert file.finding(("provider", "base_url"), "p", "f").line == 2
    assert file.finding(("provider", "name"), "p", "f").line == 3
