#!/bin/sh
# The quality gate as a plain script: for any CI system, and for a look at home. What each step is for: docs/ci.md.
#
#   MODEL=./checkpoint TASKS="STSBenchmark SciFact ./my-task.yaml" sh gate.sh
#
# Arguments go to the run: `sh gate.sh --offline --hub ./mirror`. Ends with the gate's own exit code:
# 0 may pass, 1 regressed, 2 usage, files or a failed task, 3 inconclusive (with --fail-on-inconclusive), 4 not
# comparable.
set -eu

MODEL=${MODEL:-./checkpoint}
VARIANT=${VARIANT:-fp32}
TASKS=${TASKS:-STSBenchmark SciFact}     # names and cards, between blanks
RESULTS=${RESULTS:-results}
BASELINES=${BASELINES:-results/baselines}
BASELINE=${BASELINE:-main}
OUTPUT=${OUTPUT:-gate}
GATE_FLAGS=${GATE_FLAGS:-}               # such as: --thresholds thresholds.yaml --fail-on-inconclusive

for task in $TASKS; do
    set -- "$@" --task "$task"
done
evaluate --model "$MODEL" --variant "$VARIANT" "$@" --cost off --results "$RESULTS"

# What this run made or kept, and nothing that lies in the folder from earlier: its manifest is the newest.
run=$(ls "$RESULTS"/runs/*.json | sort | tail -n 1)

code=0
# shellcheck disable=SC2086 # GATE_FLAGS are several words
evaluate gate --baseline "baseline:$BASELINE" --baselines "$BASELINES" --candidate "$run" --output "$OUTPUT" \
    $GATE_FLAGS || code=$?
if [ "$code" -ne 0 ]; then
    exit "$code"
fi

# The gate let this candidate pass; would it have stopped a bad one? A loss of ten points has to end with 1.
# shellcheck disable=SC2086
evaluate gate --baseline "baseline:$BASELINE" --baselines "$BASELINES" --candidate "$run" --self-test \
    $GATE_FLAGS || code=$?
if [ "$code" -le 1 ]; then # 0: there is no baseline to test against yet (--allow-no-baseline)
    exit 0
fi
echo "the self-test of the gate ended with $code, not with 1" >&2
exit 2
