"""DAWA assets: one LoRA per artist, kept up to date from Live Sets and bounces."""
