"""Intake: the inbox, the ledger of uploads, and the pairing of Live Sets with bounces."""
