"""DCPG: attention learned by discrete and continuous policy gradients (Yan et al., CVPR 2021)."""
