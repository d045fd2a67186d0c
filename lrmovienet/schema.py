"""The tables as Arrow schemas. `lrmovienet.validation` holds rows against them.

A table is a list of columns, a key that is unique, and for each column what its values must be.
Grades are integers: 2 high, 1 medium, 0 low. Labels are in `eval.labels.normal_form`.
"""

import pyarrow as pa
import pyarrow.compute as pc

from lrmovienet.columns import (
    MAX_LABEL_LENGTH,
    Column,
    Table,
    at_least,
    between,
    is_id,
    is_normal_label,
    is_range,
    not_blank,
    not_empty,
    one_of,
)

SCHEMA_VERSION = 3
"""Raised when a column changes meaning, name or type. Written into every manifest and part."""

GRADES = {"high": 2, "medium": 1, "low": 0}
SPLITS = ("source_train", "target_pairs", "target_dev", "target_test")
DOMAINS = ("source", "target")
PAIR_PERCENTS = (5, 10, 20, 40)
"""Shares of target pairs that are annotated (paper, Table 3); 5 lies within 10 and so on."""

KEYFRAME = pa.struct([pa.field("ref", pa.string()), pa.field("sha256", pa.string())])
"""A frame as a reference into the film's tar or folder, and the sha256 of its JPEG bytes."""

CAST = pa.struct([pa.field("actor", pa.string()), pa.field("character", pa.string())])
"""Who plays whom; either can be missing."""

SOURCE = pa.struct(
    [
        pa.field("kind", pa.string()),  # image, event or entity
        pa.field("model", pa.string()),
        pa.field("score", pa.float32()),  # null where the model gives none
    ]
)

_clip_id = Column("clip_id", pa.string(), "an id without spaces or slashes", is_id)
_label = Column(
    "label",
    pa.string(),
    f"a label of 1 to {MAX_LABEL_LENGTH} characters, lower-case, single-spaced, NFC",
    is_normal_label,
)
_grade = Column("grade", pa.int8(), "0 (low), 1 (medium) or 2 (high)", one_of(0, 1, 2))
_annotator = Column("annotator", pa.string(), "an annotator's name", not_blank)
_lead_time = Column("lead_time_s", pa.float32(), "seconds, 0 or more", at_least(0), nullable=True)
_created = Column("created_at", pa.string(), "an ISO 8601 time", not_blank, nullable=True)
_guidelines = Column("guidelines_version", pa.string(), "the guidelines' version", not_blank)
_project = Column("project", pa.string(), "the annotation project", not_blank)
_shown_at = Column(
    "position", pa.int32(), "its place on the page, from 0", at_least(0), nullable=True
)


def _label_column(name: str) -> Column:
    return Column(name, _label.type, _label.expected, _label.ok)


FILMS = Table(
    "films",
    ("movie_id",),
    (
        Column("movie_id", pa.string(), "an id without spaces or slashes", is_id),
        Column("title", pa.string(), "a title", nullable=True),
        Column("genres", pa.list_(pa.string()), "a list of genre names, may be empty"),
        Column("source", pa.string(), "movienet or video", one_of("movienet", "video")),
        Column("file", pa.string(), "the video's file name", nullable=True),
        Column("stories", pa.int32(), "a number, 0 or more", at_least(0), nullable=True),
        Column("shots", pa.int32(), "a number, 0 or more", at_least(0), nullable=True),
        Column("frames", pa.int64(), "a number, 0 or more", at_least(0), nullable=True),
        Column("fps", pa.float64(), "frames a second, more than 0", at_least(0), nullable=True),
        Column("fps_points", pa.int32(), "a number, 0 or more", at_least(0), nullable=True),
        Column("fps_residual_s", pa.float64(), "seconds", at_least(0), nullable=True),
        Column("fps_worst_s", pa.float64(), "seconds", at_least(0), nullable=True),
        Column("cast", pa.list_(CAST), "a list of actors and characters, may be empty"),
        Column("shots_include_end", pa.bool_(), "true or false", nullable=True),
        Column("shots_by", pa.string(), "what says so", nullable=True),
        Column("frames_include_end", pa.bool_(), "true or false", nullable=True),
        Column("frames_by", pa.string(), "what says so", nullable=True),
        Column("tick_s", pa.float64(), "seconds", at_least(0), nullable=True),
        Column("ticks", pa.list_(pa.int64()), "a list of numbers", nullable=True),
        Column("frames_sha256", pa.string(), "a sha256", nullable=True),
        Column("notes", pa.list_(pa.string()), "a list of texts, may be empty"),
    ),
)
"""What was learned of each film; a video's frame i lasts ``tick_s * ticks[i]`` seconds."""

CLIPS = Table(
    "clips",
    ("clip_id",),
    (
        _clip_id,
        Column("movie_id", pa.string(), "an id without spaces or slashes", is_id),
        Column("title", pa.string(), "a title", nullable=True),
        Column("genres", pa.list_(pa.string()), "a list of genre names, may be empty"),
        Column("description", pa.string(), "a scene description that is not blank", not_blank),
        Column("shot", pa.list_(pa.int32()), "first and last shot, 0 <= first <= last", is_range),
        Column("frame", pa.list_(pa.int64()), "first and last frame, first <= last", is_range),
        Column("start_s", pa.float64(), "seconds, 0 or more", at_least(0), nullable=True),
        Column("end_s", pa.float64(), "seconds, 0 or more", at_least(0), nullable=True),
        Column("keyframes", pa.list_(KEYFRAME), "at least one keyframe", not_empty),
    ),
)

IMAGE_LABELS = Table(
    "image_labels",
    ("clip_id", "label"),
    (
        _clip_id,
        _label,
        Column("score", pa.float32(), "a number from 0 to 1", between(0, 1), nullable=True),
        Column("frames_hit", pa.int32(), "a number of frames, 1 or more", at_least(1)),
        Column("frame_scores", pa.list_(pa.float32()), "a score a keyframe", nullable=True),
        Column("threshold", pa.float32(), "a number from 0 to 1", between(0, 1), nullable=True),
        Column("tagger", pa.string(), "the tagger's name", not_blank),
    ),
)
"""What a tagger saw in a clip, from a low floor up. `score` is the best of `frame_scores`: one a
keyframe, empty where it is below the floor. By the tagger's own rule a label counts whose score
exceeds `threshold`. All three are empty where tags came without scores."""

TEXT_LABELS = Table(
    "text_labels",
    ("clip_id", "label", "kind"),
    (
        _clip_id,
        _label,
        Column("kind", pa.string(), "event or entity", one_of("event", "entity")),
        Column("generator", pa.string(), "the language model's name", not_blank),
        Column("prompt_version", pa.string(), "the prompt's version", not_blank),
        Column("rank", pa.int32(), "the position in the answer, from 0", at_least(0)),
    ),
)

CANDIDATES = Table(
    "candidates",
    ("clip_id", "label"),
    (
        _clip_id,
        _label,
        Column("position", pa.int32(), "the place among the clip's labels, from 0", at_least(0)),
        Column("sources", pa.list_(SOURCE), "at least one source", not_empty),
    ),
)

DROPPED = Table(
    "dropped",
    (),  # one label can be dropped twice, for two reasons
    (
        Column("clip_id", pa.string(), "the clip (or film) concerned", not_blank),
        Column("label", pa.string(), "the label, or nothing for a whole clip", nullable=True),
        Column("stage", pa.string(), "the table being built", not_blank),
        Column("reason", pa.string(), "why it was dropped", not_blank),
    ),
)

SCREENED = Table("screened", CANDIDATES.key, CANDIDATES.columns)
"""The candidates that screening left, corrected ones under their new names."""

RATINGS = Table(
    "ratings",
    ("clip_id", "label", "annotator"),
    (
        _clip_id,
        _label,
        _annotator,
        _grade,
        _lead_time,
        _created,
        _guidelines,
        _project,
        _shown_at,
        Column("preannotated", pa.bool_(), "whether a grade was suggested", nullable=True),
    ),
)

PAIR_RATINGS = Table(
    "pair_ratings",
    ("clip_id", "label_a", "label_b", "annotator"),
    (
        _clip_id,
        _label_column("label_a"),
        _label_column("label_b"),
        _annotator,
        Column("choice", pa.string(), "a, b, tie or skip", one_of("a", "b", "tie", "skip")),
        _lead_time,
        _created,
        _guidelines,
        _project,
        _shown_at,
    ),
)
"""`label_a` is the label that was shown first."""

VERDICTS = ("keep", "drop", "correct")
SCREENINGS = Table(
    "screenings",
    ("clip_id", "label", "annotator"),
    (
        _clip_id,
        _label,
        _annotator,
        Column("verdict", pa.string(), ", ".join(VERDICTS), one_of(*VERDICTS)),
        Column(
            "correction", pa.string(), "a label, with the verdict correct", _label.ok, nullable=True
        ),
        _lead_time,
        _created,
        _guidelines,
        _project,
        _shown_at,
    ),
)
"""What people say of candidates before they are graded."""

RELEVANCE = Table(
    "relevance",
    ("clip_id", "label"),
    (
        _clip_id,
        _label,
        _grade,
        Column("n_ratings", pa.int32(), "a number of ratings, 1 or more", at_least(1)),
        Column("spread", pa.int8(), "highest minus lowest grade, 0 to 2", one_of(0, 1, 2)),
        Column("method", pa.string(), "how ratings became one grade", not_blank),
    ),
)

PREFERENCES = Table(
    "preferences",
    ("clip_id", "better", "worse"),
    (
        _clip_id,
        _label_column("better"),
        _label_column("worse"),
        Column("n", pa.int32(), "a number of choices, 1 or more", at_least(1)),
        Column("agreement", pa.float32(), "the share that agrees, 0.5 to 1", between(0.5, 1)),
    ),
)

STRENGTHS = Table(
    "strengths",
    ("clip_id", "label"),
    (
        _clip_id,
        _label,
        Column("strength", pa.float64(), "a finite number, higher is more relevant", pc.is_finite),
        Column("n", pa.int32(), "a number of choices, 1 or more", at_least(1)),
    ),
)
"""How the labels of a clip stand to each other by all choices between two (Bradley–Terry)."""

RECORDS = Table(
    "records",
    ("clip_id", "domain", "label"),
    (
        _clip_id,
        Column("domain", pa.string(), "source or target", one_of(*DOMAINS)),
        Column("split", pa.string(), ", ".join(SPLITS), one_of(*SPLITS)),
        Column("position", pa.int32(), "the label's place in the record, from 0", at_least(0)),
        _label,
        Column(
            "grade",
            pa.int8(),
            "0, 1 or 2; nothing in target_pairs, where only pairs are known",
            one_of(0, 1, 2),
            nullable=True,
        ),
        Column("movie_id", pa.string(), "an id without spaces or slashes", is_id),
        Column("genres", pa.list_(pa.string()), "a list of genre names, may be empty"),
        Column("source", pa.string(), "where the label came from: image, event, entity"),
    ),
)
"""One row a label of a record. A record is one clip seen in one domain; this is also gold."""

PAIRS = Table(
    "pairs",
    ("clip_id", "better", "worse"),
    (
        _clip_id,
        _label_column("better"),
        _label_column("worse"),
        Column(
            "percent",
            pa.int8(),
            "the smallest nested subset that holds the pair: 5, 10, 20 or 40",
            one_of(*PAIR_PERCENTS),
        ),
    ),
)
"""Target preference pairs that a method may see, within the records of `target_pairs`."""

PREDICTIONS = Table(
    "predictions",
    ("clip_id", "label"),
    (
        _clip_id,
        _label,
        Column("score", pa.float64(), "a finite number, higher is more relevant", pc.is_finite),
    ),
)

TABLES = {
    t.name: t
    for t in (
        FILMS, CLIPS, IMAGE_LABELS, TEXT_LABELS, CANDIDATES, DROPPED, SCREENINGS, SCREENED, RATINGS,
        PAIR_RATINGS, RELEVANCE, PREFERENCES, STRENGTHS, RECORDS, PAIRS, PREDICTIONS,
    )
}  # fmt: skip
