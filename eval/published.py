"""The numbers that the LR²PPO paper prints, to be shown beside ours.

Guo et al., "Multimodal Label Relevance Ranking via Reinforcement Learning" (ECCV 2024). Table 1 is
of LRMovieNet, whose data are not public, so it says what was found there and is no yardstick here;
table 2 is of MSLR-WEB10K → MQ2008.
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

TABLE_2 = {
    f"table 2: {name}": row
    for name, row in {
        "PRM": (0.5726, 0.5804, 0.5973, 0.6407, 0.7603),
        "DLCM": (0.5983, 0.6025, 0.6125, 0.6797, 0.7744),
        "ListNet": (0.5449, 0.5575, 0.5699, 0.6324, 0.7467),
        "GSF": (0.6004, 0.6265, 0.6471, 0.7054, 0.7892),
        "SetRank": (0.5299, 0.5380, 0.5555, 0.6083, 0.7365),
        "RankFormer": (0.5684, 0.5511, 0.5643, 0.6164, 0.7458),
        "LR2PPO": (0.6496, 0.6830, 0.7033, 0.7710, 0.8240),
    }.items()
}
"""Row of table 2 -> NDCG at `KS`."""

NOTE_2 = (
    "The paper's numbers are those of its table 2, MSLR-WEB10K → MQ2008, for NDCG@1, 3, 5, 10 and "
    "20. They are of the 156 test queries of MQ2008's Fold1, resampled to 20 documents each, with "
    "queries without a relevant document counted as 1, weights chosen on these same queries, and "
    "features from a network that had seen MQ2008's grades; under that protocol a random order "
    "reaches about .46, .48, .50, .57 and .70 on generated lists like those of MQ2008. Numbers of "
    "other sets, or of another protocol, must not be compared with them."
)
