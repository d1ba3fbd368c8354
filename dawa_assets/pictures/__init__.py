"""Pictures for people to look at: of sound, of words, and made small enough to be shown in place."""
