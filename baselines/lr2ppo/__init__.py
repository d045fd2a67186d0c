"""LR²PPO (Guo et al., ECCV 2024): the reference trainer."""
