"""Run the Anthropic SDK's own tests of Messages and Batches against the sandbox.

    uv run python tests/conformance/claude_sdk.py [--source anthropic-2.10.0.tar.gz]

The tests are the vendor's: they are fetched from the package index by version and hash, or taken from an archive given
with --source, run in an environment of their own, and not kept here. Without either there is nothing to run, and the
script says so. The sandbox answers in its conformance mode (shapes only), because those tests send literal ids and
options that contradict each other.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.10.0"
SHA256 = "6f3ffbdc6eb0a09a197be2eabdc62b8395a13d692710b8cdfa0393a80b355585"
TESTS = ("tests/api_resources/test_messages.py", "tests/api_resources/messages/test_batches.py")
NEEDS = (
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "respx",
    "inline-snapshot",
    "http-snapshot[httpx]",
    "dirty-equals",
    "time-machine",
    "rich",
    "aiohttp",
)


def fetch(folder: Path) -> Path | None:
    """The source distribution from the package index, if that answers."""
    fetched = subprocess.run(
        [
            *("uv", "run", "--no-project", "--with", "pip", "python", "-m", "pip", "download", "--quiet"),
            *("--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"anthropic=={VERSION}"),
        ],
        check=False,
    )
    return folder / f"anthropic-{VERSION}.tar.gz" if fetched.returncode == 0 else None


def unpack(archive: Path, folder: Path) -> Path:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{archive.name} has the hash {found}, expected {SHA256}: do not run it")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / f"anthropic-{VERSION}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="the SDK's source distribution, where no index can be reached")
    given = parser.parse_args().source
    with tempfile.TemporaryDirectory() as name:
        archive = given or fetch(Path(name))
        if archive is None or not archive.is_file():
            raise SystemExit(f"Skipped: the source of anthropic {VERSION} cannot be had here; give it with --source.")
        source = unpack(archive, Path(name))
        sandbox = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.analysis.sandbox", "--port", "0", "--conformance"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert sandbox.stdout is not None
            url = json.loads(sandbox.stdout.readline())["url"]
            extras = [part for package in NEEDS for part in ("--with", package)]
            return subprocess.run(
                [
                    "uv",
                    "run",
                    "--no-project",
                    "--with",
                    f"{source}[aiohttp]",
                    *extras,
                    "pytest",
                    "-q",
                    # a plugin that comes along warns beside xdist, and the SDK's tests take warnings for errors
                    "-p",
                    "no:benchmark",
                    "-n",
                    "2",
                    *TESTS,
                ],
                cwd=source,
                env={**os.environ, "TEST_API_BASE_URL": url},
                check=False,
            ).returncode
        finally:
            sandbox.terminate()
            sandbox.wait(timeout=10)


if __name__ == "__main__":
    sys.exit(main())
