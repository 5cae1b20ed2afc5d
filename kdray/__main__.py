"""`python -m kdray` is `kdray`."""

from kdray.cli import main

main()
