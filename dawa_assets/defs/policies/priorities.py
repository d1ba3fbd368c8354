"""Which of the runs that wait goes first, by tags that the queue reads; dagster.yaml has the limits for them.

Somebody waits for an upload. What is started by hand has no tag, and so the priority 0. What is done for everybody is
in the background. A training that nobody started comes last: it waits for the pool `gpu`, and to those that come after
it the queue counts it as if it had its artist's place already.
"""

PRIORITY = "dagster/priority"
BACKGROUND = "dawa/background"
"""The tag of runs that nobody waits for; only so many of them go at once."""

UPLOAD = {PRIORITY: "10"}
NIGHTLY = {PRIORITY: "-10", BACKGROUND: "nightly"}
BACKFILL = {PRIORITY: "-20", BACKGROUND: "backfill"}
TRAINING = {PRIORITY: "-30"}
