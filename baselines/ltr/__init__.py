"""Learning to rank: methods that score all labels of a clip together, or learn from whole lists."""
