"""Every number that decides how hard the generated corpus is, in one place."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RoleWeights:
    """How much a label says about the clip's main theme, by the part its concept plays in it."""

    theme: float
    """The event that the clip is about."""
    secondary_event: float
    """Something else that happens."""
    protagonist: float
    """Who does it."""
    secondary_person: float
    """Who else is there."""
    setting: float
    """Where it happens."""
    prop: float
    """A thing that is used; see also `Calibration.prominence`."""
    background: float
    """A thing that is merely there."""
    mood: float
    """The feeling, the time of day or the weather."""
    absent: float
    """A plausible label that is wrong."""


@dataclass(frozen=True)
class Calibration:
    """The knobs. Utilities are in units in which a role's weight is between about -1 and 2."""

    head: RoleWeights = field(
        default_factory=lambda: RoleWeights(
            theme=1.7, secondary_event=1.0, protagonist=1.5, secondary_person=0.8, setting=0.8,
            prop=0.6, background=0.0, mood=0.5, absent=-0.7,
        )
    )  # fmt: skip
    """What carries a head-world label: events and protagonists."""
    tail: RoleWeights = field(
        default_factory=lambda: RoleWeights(
            theme=1.35, secondary_event=0.6, protagonist=0.95, secondary_person=0.3, setting=1.6,
            prop=1.1, background=0.0, mood=1.25, absent=-0.7,
        )
    )  # fmt: skip
    """What carries a tail-world label: setting, props and mood. The further this is from `head`,
    the worse a ranker trained on source grades alone does on the target, and the more it gains
    from target preferences."""
    medium_from: float = 0.43
    """Utility from which a label is of medium relevance. Higher: more lows, and a lower NDCG of
    a random order."""
    high_from: float = 1.33
    """Utility from which a label is of high relevance. Higher: fewer highs, and a lower NDCG of a
    random order, most of all at small cut-offs."""
    label_sd: float = 0.25
    """Spread of what only this label in this clip has. No ranker can know it: more of it lowers
    every ranker and brings them closer together."""
    element_sd: float = 0.22
    """Spread shared by the labels of one element of a scene. As `label_sd`, but labels of the same
    thing err together."""
    clip_sd: float = 0.15
    """Spread shared by all labels of a clip: some clips have more highs than others. It does not
    change the order within a clip."""
    prominence: float = 0.8
    """Gain from the least to the most prominent prop or background object. Prominence is the size
    in the picture, the tagger's score, and raises the chance to be in the text."""
    emphasis: float = 0.6
    """Gain of the one element of a clip that its description opens with."""
    generic: float = -0.4
    """Added to labels that name only a group ("weapon")."""
    labels_per_record: float = 17.65
    """Mean number of labels of a clip in a world: 101,627 labels over 2,551 + 3,206 records
    (paper, section 4). Binomial, at most 20."""
    present: float = 0.84
    """Chance of each label of a thing in the scene to be among the candidates; absent ones fill
    the record up. Higher: fewer lows."""
    in_text: tuple[float, ...] = (1.0, 0.75, 1.0, 0.85, 0.8, 0.65, 0.1, 0.65)
    """Chance to be in the description, in the order of `RoleWeights` up to mood. What is not there
    is only in the picture; less of it makes text-only rankers worse."""
    synonym: float = 0.35
    """Chance that the description says another name than the label ("depot" for "warehouse").
    Higher: lexical match gets worse, meaning matters more."""
    near_absent: float = 0.5
    """Chance that an absent label comes from the group of something present (a pistol where there
    is a rifle), which makes it harder to tell."""
    genre_boost: float = 4.0
    """How much oftener a film draws from its genres' groups. Higher: fewer distinct labels in
    a genre (Table C.1b)."""
    concept_zipf: float = 0.7
    """Exponent of the frequencies of concepts. Higher: fewer distinct labels."""
    head_zipf: float = 1.54
    """Exponent of the frequencies of a concept's head-world labels; sets their distinct number."""
    tail_zipf: float = 1.43
    """Exponent of the frequencies of a concept's tail-world labels; sets their distinct number."""
    annotator_bias: tuple[float, ...] = (-0.15, 0.0, 0.15)
    """What each annotator adds to every utility before grading: strict, even, lenient. One
    annotator an entry."""
    annotator_sd: tuple[float, ...] = (0.15, 0.2, 0.3)
    """Spread of each annotator's judgement of a label. The median of three is nearer to the truth
    than any of them."""
    slip: float = 0.02
    """Chance of a grade given by mistake: any of the three."""
    pair_share: float = 0.4
    """Share of a clip's target pairs that are judged (paper: 5 to 40 %)."""
    pair_sd: float = 0.25
    """Spread of the difference of two utilities as a person sees it. Higher: more preferences
    against the true order."""
    tie_below: float = 0.12
    """A seen difference smaller than this is a tie."""
    skip: float = 0.01
    """Chance that a pair is skipped."""
    second_opinion: float = 0.15
    """Share of the judged pairs that a second annotator judges too."""


CALIBRATION = Calibration()
