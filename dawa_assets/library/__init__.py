"""An artist's work as a person looks at it: Live Sets with their items, what they hold, and where their bars lie."""
