"""`python -m headrace` is the headrace command."""

from headrace.app import main

main()
