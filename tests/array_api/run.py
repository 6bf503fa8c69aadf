"""Run the test suite of the Array API standard on bprop.

    git clone --recurse-submodules https://github.com/data-apis/array-api-tests
    pip install pytest hypothesis ndindex pytest-json-report
    python tests/array_api/run.py array-api-tests
    python tests/array_api/run.py array-api-tests --recorded

It runs one file of the suite after the other and writes a line for each; what else is on the command line goes to pytest, as
`array_api_tests/test_fft.py` or `--max-examples=200`. With ``--recorded``, every floating-point and complex array is a variable
of a differentiation (`recorded.py`). ``skips.txt`` says which of the suite's tests are left out, and why.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"


def command(options: list[str], recorded: bool) -> list[str]:
    """Return the command that runs pytest in a checkout of the suite."""
    own = ["-c", "pytest.ini", "--rootdir", ".", f"--skips-file={HERE / 'skips.txt'}"]
    plugin = ["-p", "recorded"] if recorded else []
    quiet = ["-q", "--tb=short", "-W", "ignore::UserWarning:conftest"]  # of skips that other files meet
    alone = ["-p", "no:cacheprovider", "-p", "no:xdist", "--disable-deadline"]
    return [sys.executable, "-m", "pytest", *own, *plugin, *quiet, *alone, *options]


def main(arguments: list[str]) -> int:
    """Run the suite whose checkout is the first argument; return 1 if a test fails."""
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    suite, recorded = Path(arguments[0]).resolve(), "--recorded" in arguments
    if not (suite / "array-api" / "src").is_dir():
        print(f"{suite} is no checkout of array-api-tests with its submodule: git submodule update --init")
        return 2
    options = [argument for argument in arguments[1:] if argument != "--recorded"]
    if not any("--max-examples" in option for option in options):
        options.append("--max-examples=20")
    paths = [option for option in options if option.startswith("array_api_tests")]
    files = paths or sorted(str(path.relative_to(suite)) for path in (suite / "array_api_tests").glob("test_*.py"))
    options = [option for option in options if option not in paths]
    environment = {
        **os.environ,
        "ARRAY_API_TESTS_MODULE": "bprop",
        "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    failed = False
    for file in files:
        process = subprocess.run(
            [*command(options, recorded), file], cwd=suite, env=environment, capture_output=True, encoding="utf-8"
        )
        if process.returncode not in (0, 5):  # 5: nothing to run
            failed = True
            print(process.stdout, process.stderr, sep="\n")
        print(
            f"{file}: {process.stdout.strip().splitlines()[-1] if process.stdout.strip() else 'no output'}", flush=True
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
