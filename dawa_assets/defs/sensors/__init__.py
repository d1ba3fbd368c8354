"""Sensors, one a file: what they ask for is asked of SQL, the inbox and the history of runs, never of their memory."""
