"""`python -m roadmap_labs`: the command line."""

from roadmap_labs.cli.main import main

main()
