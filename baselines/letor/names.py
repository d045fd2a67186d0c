"""What the features of two collections are, so that those of one can be found in the other.

LETOR 4.0 (Qin and Liu 2013, "Introducing LETOR 4.0 datasets", arXiv 1306.2597) has 46, MSLR-WEB10K
(its page at Microsoft Research) 136. Most are counted in five streams of a page.
"""

STREAMS = ("body", "anchor", "title", "url", "whole document")


def _of_streams(*names: str) -> list[str]:
    return [f"{name} of {stream}" for name in names for stream in STREAMS]


LETOR4 = (
    *_of_streams("TF", "IDF", "TF*IDF", "length", "BM25", "LMIR.ABS", "LMIR.DIR", "LMIR.JM"),
    "PageRank", "inlinks", "outlinks", "slashes in URL", "length of URL", "child pages",
)  # fmt: skip
"""Of feature 1 to 46."""

MSLR = (
    *_of_streams(
        "covered query terms", "share of covered query terms", "length", "IDF",
        "TF", "least TF", "most TF", "mean TF", "variance of TF",
        "TF by length", "least TF by length", "most TF by length", "mean TF by length",
        "variance of TF by length",
        "TF*IDF", "least TF*IDF", "most TF*IDF", "mean TF*IDF", "variance of TF*IDF",
        "boolean model", "vector space model", "BM25", "LMIR.ABS", "LMIR.DIR", "LMIR.JM",
    ),
    "slashes in URL", "length of URL", "inlinks", "outlinks", "PageRank", "SiteRank",
    "QualityScore", "QualityScore2", "clicks of query and URL", "clicks of URL",
    "dwell time on URL",
)  # fmt: skip
"""Of feature 1 to 136."""

SHARED = tuple(name for name in LETOR4 if name in MSLR)
"""The 45 that both have: all of LETOR 4.0's but the child pages."""
