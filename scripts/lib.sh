# SPDX-License-Identifier: MIT
# What the scripts share; sourced, never run. Sets ROOT; `prepare SET` sets PYTHON.

SCRIPT=$(basename -- "$0")
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)

fail() {
    echo "$SCRIPT: $1" >&2
    exit 1
}

# Print the first Python on the PATH that is new enough and can make virtual environments.
find_python() {
    unfit=
    for candidate in "${AWALA_PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
        unfit=$candidate
    done
    [ -z "$unfit" ] || fail "$unfit lacks the modules venv and ensurepip (Debian: apt-get install python3-venv)"
    fail "Python 3.11 or newer is needed, and none was found on the PATH"
}

# Install the requirements of a set (run, test, lint or fuzz) in .venv, unless they are there already.
prepare() {
    PYTHON=$ROOT/.venv/bin/python
    base=$(find_python) || exit 1
    "$base" "$ROOT/scripts/environment.py" "$SCRIPT" "$1" || exit 1
}
