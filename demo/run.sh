#!/usr/bin/env bash
# The whole way, as a user would type it: real footage to candidate labels, a generated corpus to a
# scored ranking, and candidates through Label Studio to ground truth. Every command goes on where an earlier run stopped, and does nothing twice.
#   demo/run.sh [OUT_FOLDER [CONFIG.yaml]]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-demo/out}
config=${2:-configs/demo.yaml}
films=$out/films
corpus=$out/corpus

lrm() {
    local verb=$1
    shift
    lrmovienet "$verb" --config "$config" "$@"
}

echo "== 1/3  Two real films: footage -> candidate labels ($films)"
lrm ingest --workspace "$films" --videos 'demo/*.mp4' --descriptions demo/descriptions.csv
lrm tag --workspace "$films"
lrm extract --workspace "$films"
lrm merge --workspace "$films"

echo "== 2/3  A generated corpus: ratings -> features -> rankers -> scores ($corpus)"
lrm synth --workspace "$corpus"
lrm ingest --workspace "$corpus" --movienet "$corpus/movienet"
lrm aggregate --workspace "$corpus"
lrm split --workspace "$corpus"
lrm encode --workspace "$corpus"
lrm "train prior" --workspace "$corpus"
lrm "train lexical" --workspace "$corpus"
lrm "train lr2ppo-base" --workspace "$corpus"
lrm predict --workspace "$corpus"
lrm "release build" --workspace "$corpus" --out "$out/release"
lrm stats "$out/release" --frames "$corpus/movienet"

echo "== 3/3  Generated people at a real Label Studio server: candidates -> ratings -> relevance ($out/people)"
python -m annotation.local_server --folder "$out/label-studio" --port 0 -- demo/people.sh "$out" "$config"

echo
echo "== What the films gave (pictures: $films/cards/)"
lrm show --workspace "$films"
echo
echo "== The generated corpus as a release: $out/release, and a page about it: $out/release-stats/index.html"
echo
echo "== How well the rankers do on target_test of the generated corpus (source grades only, R0)"
lrm score --workspace "$corpus"
