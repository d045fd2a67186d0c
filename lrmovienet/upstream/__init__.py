"""To and from the files that the official LR2PPO code reads.

`write` makes such files of a workspace, `read` makes a workspace of such files: of our own (which
come back exactly) and of anybody's. `layout` says what lies in the folder and in its files.
"""
