"""The classic track: documents of web searches, as LETOR, MSLR-WEB10K and the like give them.

A query takes the place of a clip, its documents that of labels; a document is one vector.
"""
