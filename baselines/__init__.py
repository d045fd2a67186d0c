"""Rankers. One method, one file; each can fit, score, save and load."""
