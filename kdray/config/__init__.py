"""The words of a search-space file: domains, plain sections, loading."""
