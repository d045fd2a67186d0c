"""The judge: scores predictions against graded labels. Imports nothing else of this project."""
