"""What is said of each asset: rows, versions, consistency, backlog, status, alerts, the doctor."""
