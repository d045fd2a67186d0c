"""Video files -> shots -> keyframes, as a MovieNet tree that other tools can read too."""
