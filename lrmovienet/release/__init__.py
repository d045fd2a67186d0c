"""From the tables of a workspace to a folder that can be published, and back.

`build` writes a release, `check` says whether a folder is one, `publish` puts it on the Hugging
Face Hub, `hydrate` makes a workspace of it beside the user's own frames, `diff` compares two of
them, `leaks` says what their splits share.
"""
