#!/usr/bin/env bash
# The third part of the demo, while a Label Studio server is up: LABEL_STUDIO_URL says where.
#   demo/people.sh OUT_FOLDER CONFIG.yaml
set -euo pipefail
out=$1
config=$2
truth=$out/truth
people=$out/people

annotate() {
    local verb=$1
    shift
    lrmovienet annotate "$verb" "$@" --config "$config" --workspace "$people"
}

# What is true is known, as the corpus is generated; the people are not told.
lrmovienet synth --workspace "$truth" --size tiny --frames false
lrmovienet aggregate --workspace "$truth"
lrmovienet synth --workspace "$people" --size tiny --ratings false
lrmovienet ingest --workspace "$people" --movienet "$people/movienet"

annotate plan grading
annotate push grading --server "$LABEL_STUDIO_URL" --files "$out/label-studio/files" \
    --annotators ann-generated bob-generated cleo-generated dora-generated --gold "$truth/relevance"
annotate simulate --server "$LABEL_STUDIO_URL" --truth "$truth"
annotate pull --server "$LABEL_STUDIO_URL"
annotate push grading --server "$LABEL_STUDIO_URL" --files "$out/label-studio/files" \
    --annotators erin-generated --overlap 1 --adjudicate
annotate simulate --server "$LABEL_STUDIO_URL" --truth "$truth"
annotate pull --server "$LABEL_STUDIO_URL"
annotate agreement
lrmovienet aggregate --config "$config" --workspace "$people"
