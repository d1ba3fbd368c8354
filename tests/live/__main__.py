"""`python -m tests.live`: whether the opt-in tests have what they need. Exit code 2 where they have not."""

import sys

from tests.live.project import MIGRATE, missing


def main() -> int:
    """Say what is needed, if anything is; gives the exit code."""
    lines = missing()
    if not lines:
        return 0
    sys.stderr.write(
        "make test-live needs a real Supabase project (best one that nobody works with):\n"
        + "".join(f"  {line}\n" for line in lines)
        + f"Objects go into a folder of their own and are removed; the schema is only looked at, unless {MIGRATE}=1.\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
