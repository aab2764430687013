"""PostgreSQL's driver is imported when it is asked for, and its missing library is named."""

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["psycopg"] = None
from headrace.app.postgres import postgres_driver
from headrace.domain.errors import ConfigInvalid
try:
    postgres_driver()
except ConfigInvalid as error:
    print(error.message)
"""
UNUSED = """
import sys
import headrace.app.local_verbs, headrace.app.foundation
print(sorted(name for name in sys.modules if name.partition(".")[0] == "psycopg" or ".postgres." in name))
"""


def printed(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_a_missing_library_names_the_extra() -> None:
    assert printed(WITHOUT).endswith("pip install 'headrace[postgres]'.")


def test_an_installation_on_sqlite_does_not_import_it() -> None:
    assert printed(UNUSED) == "[]"
