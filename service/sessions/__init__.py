"""Session semantics: positions, times, order, and exactly once."""
