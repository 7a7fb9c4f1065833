"""Under which heading `call-coach --help` lists a command."""

START = "Start here"
WORK = "Day to day"
SERVE = "Services, one at a time"
KEEP = "Looking after the data"
