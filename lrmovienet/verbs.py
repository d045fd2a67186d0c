"""The verbs of `lrmovienet`, in the order in which the data flows."""

from typing import NamedTuple


class Verb(NamedTuple):
    """A command: the module that holds its config and function, and what it does in a line."""

    module: str
    config: str
    help: str
    words: str = ""
    """The option to which words without one go."""


VERBS = {
    "doctor": Verb(
        "lrmovienet.movienet.doctor", "DoctorConfig", "what a copy of MovieNet holds", "root"
    ),
    "synth": Verb("lrmovienet.synthetic", "SynthConfig", "generate a corpus with known relevance"),
    "ingest": Verb("lrmovienet.ingest", "IngestConfig", "films or a MovieNet tree -> clips"),
    "tag": Verb("lrmovienet.tagging", "TagConfig", "clips -> image_labels, from the keyframes"),
    "extract": Verb(
        "lrmovienet.text", "ExtractConfig", "clips -> text_labels: events and entities"
    ),
    "merge": Verb("lrmovienet.candidates", "MergeConfig", "image and text labels -> candidates"),
    "show": Verb("lrmovienet.cards", "ShowConfig", "clips as pictures with their labels"),
    "annotate plan": Verb(
        "annotation.plan", "PlanConfig", "what annotating would take: hours and cost", "form"
    ),
    "annotate push": Verb(
        "annotation.push", "PushConfig", "candidates -> Label Studio, one project a person", "form"
    ),
    "annotate simulate": Verb(
        "annotation.simulate", "SimulateConfig", "answer what was pushed, as generated people"
    ),
    "annotate pull": Verb(
        "annotation.pull", "PullConfig", "Label Studio -> ratings, pair_ratings, screenings"
    ),
    "annotate agreement": Verb(
        "annotation.report", "AgreementConfig", "how far people agree: JSON, table and figure"
    ),
    "annotate export": Verb(
        "annotation.export", "ExportConfig", "ratings as they may be published: no names", "out"
    ),
    "aggregate": Verb(
        "annotation.aggregate", "AggregateConfig", "ratings, pairs -> relevance, preferences"
    ),
    "split": Verb("lrmovienet.splits", "SplitConfig", "relevance, preferences -> records, pairs"),
    "encode": Verb("lrmovienet.encode", "EncodeConfig", "records -> a feature store"),
    "train random": Verb("baselines.floor_verbs", "TrainRandom", "a random order -> a ranker"),
    "train prior": Verb(
        "baselines.floor_verbs", "TrainPrior", "a label's mean grade in training -> a ranker"
    ),
    "train frequency": Verb(
        "baselines.floor_verbs", "TrainFrequency", "how common a label is -> a ranker"
    ),
    "train lexical": Verb(
        "baselines.floor_verbs", "TrainLexical", "how much of a label is in the text -> a ranker"
    ),
    "train bm25": Verb(
        "baselines.floor_verbs", "TrainBM25", "BM25 of a label in the text -> a ranker"
    ),
    "train text-cosine": Verb(
        "baselines.floor_verbs", "TrainTextCosine", "cosine of label and text -> a ranker"
    ),
    "train sentence-cosine": Verb(
        "baselines.floor_verbs", "TrainSentenceCosine", "the same, embedded apart -> a ranker"
    ),
    "train image-tag": Verb(
        "baselines.floor_verbs", "TrainImageTag", "how sure the image tagger was -> a ranker"
    ),
    "train lambdamart": Verb(
        "baselines.lambdamart_verb", "TrainLambdaMART", "LambdaMART, boosted trees -> a ranker"
    ),
    "train lr2ppo-base": Verb(
        "baselines.lr2ppo.verbs", "TrainBase", "LR²PPO, stage 1: source grades -> a ranker"
    ),
    "train lr2ppo-reward": Verb(
        "baselines.lr2ppo.verbs", "TrainReward", "LR²PPO, stage 2: pairs -> a reward model"
    ),
    "train lr2ppo": Verb(
        "baselines.lr2ppo.verbs", "TrainPPO", "LR²PPO, all three stages -> a ranker"
    ),
    "train dcpg": Verb(
        "baselines.dcpg.verb", "TrainDCPG", "attention by policy gradients (DCPG) -> a ranker"
    ),
    "train preference": Verb(
        "baselines.preference_verb",
        "TrainPreference",
        "LR²PPO's control: stage 1, then a pairwise loss",
    ),
    "train distillation": Verb(
        "baselines.control_verbs",
        "TrainDistillation",
        "LR²PPO's control: its reward model, learned by lists",
    ),
    "train pl-rank": Verb(
        "baselines.control_verbs", "TrainPLRank", "LR²PPO's control: stage 1, then PL-Rank"
    ),
    "train grpo": Verb(
        "baselines.control_verbs", "TrainGRPO", "LR²PPO's control: stage 1, then GRPO on rankings"
    ),
    **{
        f"train {name}": Verb("baselines.ltr.verbs", f"Train{title}", f"{what} -> a ranker")
        for name, title, what in (
            ("listnet", "ListNet", "ListNet, top-one cross-entropy"),
            ("dlcm", "DLCM", "DLCM, a GRU over stage 1's order"),
            ("prm", "PRM", "PRM, a transformer over stage 1's order"),
            ("gsf", "GSF", "GSF, labels scored in groups"),
            ("setrank", "SetRank", "SetRank, self-attention blocks"),
            ("rankformer", "RankFormer", "RankFormer, with a list-wide loss"),
            ("context", "Context", "a context-aware transformer, NDCGLoss2++"),
            ("dasalc", "DASALC", "DASALC, self-attention with latent cross"),
        )
    },
    "train clip": Verb(
        "baselines.clip_verb", "TrainClip", "CLIP or SigLIP, zero-shot: labels against frames"
    ),
    "train mkt": Verb(
        "baselines.mkt_verb", "TrainMkt", "MKT, from its authors' checkpoints -> a ranker"
    ),
    "match": Verb(
        "baselines.dcpg.match_verb", "MatchConfig", "train and evaluate image-text matching (DCPG)"
    ),
    "curves": Verb(
        "baselines.lr2ppo.curves", "CurvesConfig", "how LR²PPO trained, as figures", "rankers"
    ),
    "predict": Verb("baselines.predict", "PredictConfig", "a ranker -> predictions"),
    "score": Verb("lrmovienet.score", "ScoreConfig", "predictions against gold -> NDCG@k"),
    "compare": Verb(
        "lrmovienet.compare",
        "CompareConfig",
        "predictions against each other -> a matrix",
        "predictions",
    ),
    "leaderboard": Verb(
        "lrmovienet.leaderboard", "LeaderboardConfig", "results -> a table", "results"
    ),
    "bench": Verb(
        "baselines.benchmark.verb",
        "BenchConfig",
        "methods, regimes and seeds -> rankers and results",
        "methods",
    ),
    "letor look": Verb(
        "baselines.letor.look_verb", "LookConfig", "what files of documents hold", "files"
    ),
    "letor leaks": Verb(
        "baselines.letor.leaks_verb", "LeaksConfig", "what files of documents share", "files"
    ),
    "letor bench": Verb(
        "baselines.letor.verb",
        "LetorBenchConfig",
        "methods on queries and documents -> results",
        "methods",
    ),
    "letor table": Verb(
        "baselines.letor.table_verb", "TableConfig", "results on documents -> tables", "results"
    ),
    "release build": Verb(
        "lrmovienet.release.build", "BuildConfig", "a workspace -> a folder to be published"
    ),
    "stats": Verb("lrmovienet.stats", "StatsConfig", "a release in tables and figures", "release"),
    "leaks": Verb("lrmovienet.leaks", "LeaksConfig", "what a release's splits share", "release"),
    "diff": Verb(
        "lrmovienet.release.diff", "DiffConfig", "what changed between two releases", "releases"
    ),
    "publish": Verb(
        "lrmovienet.release.publish",
        "PublishConfig",
        "a release -> the Hugging Face Hub",
        "release",
    ),
    "hydrate": Verb(
        "lrmovienet.release.hydrate",
        "HydrateConfig",
        "a release and one's own frames -> a workspace",
        "release",
    ),
    "upstream write": Verb(
        "lrmovienet.upstream.write", "WriteConfig", "a workspace -> LR2PPO's own files", "out"
    ),
    "upstream read": Verb(
        "lrmovienet.upstream.read", "ReadConfig", "LR2PPO's own files -> a workspace", "folder"
    ),
    "upstream checkpoint": Verb(
        "baselines.lr2ppo.upstream_verb",
        "CheckpointConfig",
        "a checkpoint of LR2PPO's own -> a network",
        "checkpoint",
    ),
    "status": Verb(
        "lrmovienet.status", "StatusConfig", "what a workspace holds, and what was dropped"
    ),
}
"""In the order in which the data flows."""

GROUPS = {verb.split()[0] for verb in VERBS if " " in verb}
"""First words of the verbs of two words."""
