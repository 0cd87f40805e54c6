#!/bin/sh
# Runs the benchmarks, each beside its peer, and keeps the figures in
# bench/results. `make bench` builds bin/leat and installs the peers first.
#
#   bench/run.sh                    all of them, about half an hour
#   bench/run.sh realtime start     only these
#   SCALE=0.1 bench/run.sh          a tenth of the rows and seconds, to try
#   LEAT_INGEST_GB=10               size of the file that ingest reads
#   LEAT_BENCH_DIR=/big/disk        where the large files go
#
# A benchmark that fails (the sides disagree, a server does not start) does
# not keep the others from running; the exit code tells.
set -u
cd "$(dirname "$0")/.." || exit 1

tools=${LEAT_TOOLS:-.cache/tools}
LEAT_PYTHON=${LEAT_PYTHON:-$tools/venv/bin/python}
LEAT_BINARY=${LEAT_BINARY:-bin/leat}
export LEAT_PYTHON LEAT_BINARY

for needed in "$LEAT_PYTHON" "$LEAT_BINARY"; do
    [ -x "$needed" ] || { echo "bench: $needed is absent: run make bench" >&2; exit 1; }
done

# scaled SIZE LEAST: fewer rows than LEAST would compare noise.
scaled() { awk -v n="$1" -v least="$2" -v s="${SCALE:-1}" 'BEGIN { n *= s; printf "%d", n < least ? least : n }'; }

failed=
[ $# -gt 0 ] || set -- quality nab training scoring start realtime features serving protocols retrieval hybrid gateway answers batch events windows past ingest tracking documents
for name; do
    echo "bench: $name"
    case $name in
    training) go run ./bench/keep training go run ./bench/training -rows "$(scaled 1000000 200000)" ;;
    scoring) case ${SCALE:-1} in 0*) go run ./bench/scoring -quick ;; *) go run ./bench/scoring ;; esac ;;
    realtime) go run ./bench/realtime && go run ./bench/realtime -apart ;;
    quality | nab | features | retrieval | hybrid | gateway | answers | start | serving | protocols | batch | events | windows | past | ingest | tracking | documents) go run "./bench/$name" ;;
    *) echo "bench: there is no benchmark $name" >&2; false ;;
    esac || failed="$failed $name"
done
[ -z "$failed" ] || { echo "bench: failed:$failed" >&2; exit 1; }
