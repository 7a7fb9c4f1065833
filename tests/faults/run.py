"""The fault suite: `uv run python tests/faults/run.py --seed 7` does damage, writes a history, prints the verdict.

Every scenario starts from an empty database, and the checker (`check.py`) sees nothing but the history, so an old
history can be judged again: `uv run python tests/faults/check.py history.jsonl`.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from check import report
from registry import SCENARIOS
from stage import stage_for


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=12, help="calls of the company that are loaded and scored")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "call_coach_faults")
    parser.add_argument(
        "scenarios", nargs="*", metavar="NAME[=TIMES]", help=f"of {', '.join(SCENARIOS)}; all by default"
    )
    options = parser.parse_args()
    # what was started is stopped also when the suite is told to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = {name: times for name, (_, times) in SCENARIOS.items()}
    if options.scenarios:
        pairs = [text.partition("=") for text in options.scenarios]
        wanted = {name: int(times or wanted[name]) for name, _, times in pairs}
        # tests compare nothing with an undisturbed run
        wanted = wanted if set(wanted) == {"rows"} else {"baseline": 1} | wanted
    with stage_for(options.folder, seed=options.seed, n_calls=options.calls) as stage:
        for name, times in wanted.items():
            try:
                SCENARIOS[name][0](stage, times)
            except Exception as error:
                # one broken scenario must not hide what the others found
                stage.history.add(name, "driver failed", error=f"{type(error).__name__}: {error}")
    text, is_well = report([options.folder / "history.jsonl"])
    sys.stdout.write(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
