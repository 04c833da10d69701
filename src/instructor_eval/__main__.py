"""`python -m instructor_eval`: the command line."""

from instructor_eval.cli.main import entry

entry()
