"""Marks on what is generated: tags in plain words, and signed C2PA manifests. No database, and no sound is changed."""
