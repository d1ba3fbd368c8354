"""The `PromptWriter` port and its implementations."""
