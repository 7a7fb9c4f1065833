"""Run the tests that the rows name, and write down how they ended."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from rows import ROWS
from stage import Stage

TESTS = Path(__file__).parents[1]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow")


def row_tests(stage: Stage, _: int) -> None:
    """Every test that a row names, in one run of pytest."""
    wanted = tuple(sorted({f"tests/{test}" for row in ROWS for test in row.tests}))
    files = sorted({test.partition("::")[0] for test in wanted})
    listed = subprocess.run(
        [*PYTEST, "--collect-only", *files], cwd=TESTS.parent, capture_output=True, text=True, check=False
    )
    chosen = [line for line in listed.stdout.splitlines() if line.startswith(wanted)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [*PYTEST, "--timeout", "1800", "-o", "junit_family=xunit1", f"--junitxml={report}", *chosen],
            cwd=TESTS.parent,
            capture_output=True,
            check=False,
        )
        cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else iter(())
        outcomes = [
            (f"{case.get('file', '').removeprefix('tests/')}::{case.get('name')}", _outcome(case), _figures(case))
            for case in cases
        ]
    for row in ROWS:
        mine = [outcome for outcome in outcomes if any(outcome[0].startswith(test) for test in row.tests)]
        unmatched = [test for test in row.tests if not any(name.startswith(test) for name, _, _ in mine)]
        figures = [figure for _, _, found in mine for figure in found]
        ended = Counter(outcome for _, outcome, _ in mine)
        stage.history.add("rows", "tested", number=row.number, unmatched=unmatched, figures=figures, **ended)


def _figures(case: ElementTree.Element) -> list[str]:
    """What a test measured and said with `record_property("figure", ...)`."""
    return [item.get("value", "") for item in case.iter("property") if item.get("name") == "figure"]


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"
