#!/usr/bin/env bash
# Makes .venv and installs the project with the extras that are named; called by the Makefile.
# With uv where it is there (some ten times as fast), else with pip. Says what is being done, since it takes minutes.
set -euo pipefail
cd "$(dirname "$0")"
extras=${1:-none} # separated by commas
python=${PYTHON:-python3}
packages="."
[ "$extras" = none ] || packages=".[$extras]"

[ -x .venv/bin/python ] || "$python" -m venv .venv
case ",$extras," in
  *,train,*) echo "Setting up .venv with $packages: once, some minutes and 2 GB, most of it torch" ;;
  *) echo "Setting up .venv with $packages: once, a minute or two; without torch (EXTRAS=train,hosted,marks,dev has it)" ;;
esac

# uv reads no configuration of pip's: where pip was told to look, it has to be told too.
pip_setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }
if command -v uv >/dev/null; then
  index=${PIP_INDEX_URL:-$(pip_setting index-url)}
  links=${PIP_FIND_LINKS:-$(pip_setting find-links)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  [ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}"
  uv pip install --python .venv/bin/python -c constraints.txt -e "$packages"
elif [ -t 1 ]; then
  .venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e "$packages"
else # no terminal: what is large, and the end
  .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e "$packages" |
    awk '/Downloading .* \([0-9.]+ (MB|GB)\)$/ { sub("-.*", "", $2); print "  downloading", $2, $(NF - 1), $NF; fflush() }
         /^Installing collected/ { print "  installing"; fflush() }
         /^Successfully installed/ { print "  " NF - 2 " packages installed"; fflush() }'
fi
printf %s "$extras" >.venv/.extras
touch .venv/.ready
