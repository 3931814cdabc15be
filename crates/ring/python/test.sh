#!/usr/bin/env bash
# Installs the Python client into a virtual environment of its own, type-checks it and tests it against the Rust writer.
# Skips, by name, where Python or the package index is not there; RING_PYTHON_REQUIRED=1 makes that a failure.
# PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
    echo "SKIPPED ring python: $1"
    if [ -n "${RING_PYTHON_REQUIRED:-}" ]; then
        exit 1
    fi
    exit 0
}

python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v "$python" >/dev/null || skip "no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || skip "$python is older than 3.9"
"$python" -m venv "$work/venv" >"$work/log" 2>&1 || skip "no venv: $(tail -n 1 "$work/log")"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
# Apart from the package itself: without an index that is no fault of ours, and the package failing to build is.
"${pip[@]}" install numpy mypy pytest 'setuptools>=77' wheel >"$work/log" 2>&1 ||
    skip "no numpy, mypy and pytest from the package index: $(tail -n 1 "$work/log")"
# Only the example needs it; its test says that it is skipped where this fails.
"${pip[@]}" install --only-binary :all: matplotlib >"$work/log" 2>&1 || true
# A copy: an installation leaves build products beside what it builds.
mkdir "$work/package"
cp -r pyproject.toml README.md occdepth_ring "$work/package"
"${pip[@]}" install --no-deps --no-build-isolation "$work/package"

RING_PUBLISH=$(cargo build --locked --quiet -p occdepth-ring --example publish --message-format=json |
    "$work/venv/bin/python" -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("target", {}).get("name") == "publish" and message.get("executable"):
        print(message["executable"])
')
export RING_PUBLISH

# The tests' directory is what pytest puts on the path, not this one: what was installed is what is tested.
export PYTHONDONTWRITEBYTECODE=1
"$work/venv/bin/mypy" --strict --ignore-missing-imports --cache-dir "$work/mypy" occdepth_ring tests example_top_down.py
"$work/venv/bin/pytest" -q -p no:cacheprovider tests
