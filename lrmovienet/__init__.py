"""Build label relevance ranking datasets from films: footage in, tables out."""

__version__ = "0.1.0"
