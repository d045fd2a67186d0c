"""The methods of this room as rankers; what each is stands in its network's file."""

from baselines.ltr.context import ContextAware
from baselines.ltr.dasalc import DASALC
from baselines.ltr.dlcm import DLCM
from baselines.ltr.gsf import GSF
from baselines.ltr.listnet import ListNet
from baselines.ltr.prm import PRM
from baselines.ltr.ranker import ListRanker
from baselines.ltr.rankformer import RankFormer
from baselines.ltr.setrank import SetRank


class ListNetRanker(ListRanker):
    """ListNet."""

    network_class = ListNet


class DLCMRanker(ListRanker):
    """DLCM: reranks stage 1's order."""

    network_class = DLCM
    reads_initial = True


class PRMRanker(ListRanker):
    """PRM: reranks stage 1's order."""

    network_class = PRM
    reads_initial = True


class GSFRanker(ListRanker):
    """GSF."""

    network_class = GSF


class SetRankRanker(ListRanker):
    """SetRank."""

    network_class = SetRank


class RankFormerRanker(ListRanker):
    """RankFormer."""

    network_class = RankFormer


class ContextRanker(ListRanker):
    """The context-aware transformer."""

    network_class = ContextAware


class DASALCRanker(ListRanker):
    """DASALC."""

    network_class = DASALC
