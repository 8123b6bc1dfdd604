#!/bin/sh
# Prints the first Python on the PATH that is new enough, or says what to do where there is none.
# Shell, because an old Python could not even read a modern script. PYTHON=... names one to use.
set -u
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.13 python3.12 python3.11 python3.14 python
fi
seen=""
for candidate in "$@"; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
    seen="$seen
  $(command -v "$candidate"): $("$candidate" --version 2>&1 | head -n 1)"
done
{
    echo "Text2Song Studio needs Python 3.11 or newer, and there is none here."
    if [ -n "$seen" ]; then echo "Looked at:$seen"; else echo "Looked for: $*"; fi
    echo "Install one (on Debian or Ubuntu: apt-get install python3 python3-venv), or name one that you have:"
    echo "  make PYTHON=/path/to/python3.11 ..."
} >&2
exit 1
