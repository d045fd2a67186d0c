"""People: ratings and pair choices, and what they add up to."""
