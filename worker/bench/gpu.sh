#!/usr/bin/env bash
# Training steps on a GPU, ours and PyTorch's in turns: worker/bench/gpu.sh [PROGRAM [PYTHON]], where PROGRAM is a tinysweep with CUDA and
# PYTHON has torch. Prints the median milliseconds of a step of each, and how many times as fast ours is as the best of PyTorch's.
# DEVICE, PRECISION, STEPS and SHAPES ("mixer width heads positions batch", one a line) say otherwise than below.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=${1:-$here/../../target/release/tinysweep}
python=${2:-python3}
device=${DEVICE:-cuda}
precision=${PRECISION:-bf16}
steps=${STEPS:-20}
shapes=${SHAPES:-"att 512 8 97 768
mlp 512 8 97 768
att 128 4 81 768
mlp 128 4 81 768
att 64 4 81 768
att 32 4 81 768
mlp 32 4 81 768"}

printf '%s %s\n%-6s %5s %5s %9s %9s %9s %15s %6s\n' "$device" "$precision" mixer width batch ours eager compile reduce-overhead ratio
while read -r mixer width heads positions batch; do
  case $positions in 97) shape=big ;; 81) shape=small ;; *) echo "tinysweep's shapes have 97 or 81 positions, not $positions" >&2; exit 2 ;; esac
  ours=$("$program" bench train --device "$device" --shape "${shape}_$mixer" --width "$width" --batch "$batch" --precision "$precision" \
    --steps "$steps" --output json | sed -n 's/.*"ms_per_step": *\([0-9.]*\).*/\1/p' | head -1)
  figures=()
  for mode in eager compile reduce-overhead; do
    figures+=("$("$python" "$here/pytorch.py" --mixer "$mixer" --width "$width" --heads "$heads" --positions "$positions" --batch "$batch" \
      --precision "$precision" --mode "$mode" --device "$device" --steps "$steps")")
  done
  ratio=$(printf '%s\n' "${figures[@]}" | sort -g | head -1 | awk -v ours="$ours" '{ printf "%.2f", $1 / ours }')
  printf '%-6s %5s %5s %9.2f %9.2f %9.2f %15.2f %6s\n' "$mixer" "$width" "$batch" "$ours" "${figures[@]}" "$ratio"
done <<< "$shapes"
