"""The numbers that the LR²PPO paper prints for LRMovieNet, to be shown beside ours.

Guo et al., "Multimodal Label Relevance Ranking via Reinforcement Learning" (ECCV 2024), table 1.
They are of other data, which is not public, so they say what was found there and are no yardstick
here.
"""

KS = (1, 3, 5, 10, 20)
"""Of each row."""

PUBLISHED = {
    "CLIP": (0.5523, 0.5209, 0.5271, 0.6009, 0.7612),
    "MKT": (0.3517, 0.3533, 0.3765, 0.4704, 0.6774),
    "PRM": (0.6320, 0.6037, 0.6083, 0.6650, 0.8022),
    "DLCM": (0.6153, 0.5807, 0.5811, 0.6310, 0.7866),
    "ListNet": (0.5947, 0.5733, 0.5787, 0.6438, 0.7872),
    "GSF": (0.594, 0.571, 0.579, 0.643, 0.787),
    "SetRank": (0.6337, 0.6038, 0.6125, 0.6658, 0.8030),
    "RankFormer": (0.6350, 0.6048, 0.6108, 0.6655, 0.8033),
    "LR2PPO (S1)": (0.6330, 0.6018, 0.6061, 0.6667, 0.8021),
    "LR2PPO": (0.6820, 0.6714, 0.6869, 0.7628, 0.8475),
}
"""Row of table 1 -> NDCG at `KS`."""

NOTE = (
    "The paper's numbers are those of its table 1 for NDCG@1, 3, 5, 10 and 20. They must not be "
    "compared with ours: its data are others and are not public; its learning-to-rank rows were "
    "re-implemented by its authors from the methods' papers, and it does not say what data these "
    "methods saw; its GSF row is printed with three digits and is ListNet's to within .003, so it "
    "is the least certain."
)
