#!/usr/bin/env bash
# Looks for the slowest input of each parser (benches/slowest.rs), SECONDS for each of them; prints the dearest:
# parser, tries, instructions for 1 KiB, for an octet, how many times an ordinary input of that length, and what
# is repeated.
#
#     benches/slowest.sh [SECONDS [SEED [PART OF A NAME]]]
#
# What it finds belongs among the hostile messages of benches/support/samples.rs, which CI counts, and into the
# table of docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo build --locked -q --profile instructions --example slowest
program=${CARGO_TARGET_DIR:-target}/instructions/examples/slowest
env -i TZ=UTC valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
    --toggle-collect=slowest::measured --dump-after=slowest::measured \
    "$program" "$scratch/out" "${1:-60}" "${2:-1}" "${3:-}" 2>"$scratch/errors" ||
    { cat "$scratch/errors"; exit 1; }
