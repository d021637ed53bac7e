#!/usr/bin/env bash
# Counts instructions for each message, and fails if they became more than 5 % more than the baseline says.
#
#     benches/instructions.sh [PART OF A NAME]
#     UPDATE_BASELINE=1 benches/instructions.sh
#
# valgrind(1) emulates the processor, so that a count is the same whenever it is repeated, however busy the
# machine is. What changes it is the code, the compiler, and whether the processor has AVX2, which memchr
# and libc ask for: without it nothing is compared. A hostile message (see benches/support/samples.rs) may
# cost ten times an ordinary one of the same length; one that costs more fails, unless it did so in the
# baseline, too. One with "_sd_" in its name is held against an ordinary one that carries structured data as
# well; the column "text" has what it costs beside text of its length, too.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

baseline=benches/instructions.baseline
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "$(uname -m)" != x86_64 ] || ! grep -qw avx2 /proc/cpuinfo; then
    echo 'SKIP: the baseline was made on x86_64 with AVX2'
    exit 0
fi

cargo build --locked -q --profile instructions --example instructions
program=${CARGO_TARGET_DIR:-target}/instructions/examples/instructions
env -i TZ=UTC valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
    --toggle-collect=instructions::measured --dump-after=instructions::measured \
    "$program" "${1:-}" >"$scratch/cases" 2>"$scratch/errors" || { cat "$scratch/errors"; exit 1; }

# The n-th line of the cases belongs to the n-th dump.
number=0
while read -r name messages; do
    number=$((number + 1))
    printf '%s %s %s\n' "$name" "$messages" "$(sed -n 's/^totals: //p' "$scratch/out.$number")"
done <"$scratch/cases" | awk '
    { cost = $3 / $2 }
    !($1 in least) { order[++count] = $1; least[$1] = cost }
    cost < least[$1] { least[$1] = cost }
    END { for (i = 1; i <= count; i++) printf "%s %.1f\n", order[i], least[order[i]] }' >"$scratch/now"
[ -s "$scratch/now" ]

if [ -n "${UPDATE_BASELINE:-}" ]; then
    {
        echo "# Instructions for each message; UPDATE_BASELINE=1 benches/instructions.sh writes this file."
        echo "# $(rustc --version | cut -d' ' -f1-2), $(valgrind --version)"
        cat "$scratch/now"
    } >"$baseline"
fi

awk -v whole="${1:+no}" '
    # The ordinary message that a hostile one is held against.
    function kind(name) {
        return text(name) (name ~ /_sd_/ ? "_sd" : "")
    }
    function text(name) {
        if (name ~ /^hostile_icase_/) return "hostile_contains_ordinary"
        match(name, /^hostile_[a-z0-9]+/)
        return substr(name, 1, RLENGTH) "_ordinary"
    }
    function ratio(table, name) { return kind(name) in table ? table[name] / table[kind(name)] : 0 }
    function beside_text(table, name) { return text(name) in table ? table[name] / table[text(name)] : 0 }
    function fail(why) { bad[++wrong] = why }
    FNR == NR && /^#/ { made = made substr($0, 3) "\n"; next }
    FNR == NR { base[$1] = $2; next }
    { now[$1] = $2; order[++count] = $1 }
    END {
        printf "%-42s %12s %12s %8s %9s %9s\n", "instructions for each message", "baseline", "now", "change", "ordinary", "text"
        for (i = 1; i <= count; i++) {
            name = order[i]
            hostile = name ~ /^hostile_/ && name !~ /_ordinary(_sd)?$/
            if (!(name in base)) {
                printf "%-42s %12s %12.1f %8s", name, "-", now[name], "-"
                printf hostile ? sprintf(" %8.1fx %8.1fx\n", ratio(now, name), beside_text(now, name)) : "\n"
                fail(name ": not in the baseline")
                continue
            }
            change = (now[name] / base[name] - 1) * 100
            printf "%-42s %12.1f %12.1f %+7.1f%%", name, base[name], now[name], change
            printf hostile ? sprintf(" %8.1fx %8.1fx\n", ratio(now, name), beside_text(now, name)) : "\n"
            if (change > 5) fail(sprintf("%s: %.1f %% more", name, change))
            if (change < -5) better++
            if (hostile && ratio(now, name) > 10 && ratio(base, name) <= 10)
                fail(sprintf("%s: %.1f times an ordinary message of its length", name, ratio(now, name)))
            if (hostile && ratio(now, name) > 10) slow++
        }
        if (!whole) for (name in base) if (!(name in now)) fail(name ": only in the baseline")
        if (slow) printf "\n%d hostile messages cost more than ten times an ordinary one, as in the baseline.\n", slow
        if (better) printf "\n%d cases became more than 5 %% better: make that the baseline.\n", better
        if (!wrong) exit
        printf "\nThe baseline was made with: %s", made
        for (i = 1; i <= wrong; i++) print "FAIL " bad[i]
        print "If that is the price of something better: UPDATE_BASELINE=1 benches/instructions.sh"
        exit 1
    }' "$baseline" "$scratch/now"
