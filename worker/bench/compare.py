"""Training steps or answers, ours and PyTorch's in turns.

    python worker/bench/compare.py train
    python worker/bench/compare.py inference --precision bf16 --shapes small_mlp::256 small_att::256 --supervision-steps 1
    python worker/bench/compare.py train --device cuda --precision bf16

The Python that runs this must have torch. A shape is one of `tinysweep bench`, with a width and a batch in place of its own where they are
named: `small_att:64:768`. Figures are medians over the rounds of the medians of each: on one thread of a processor milliseconds of CPU
time, which others on the machine disturb least, else those of the clock. The last column is how many times as fast ours is as the best of
PyTorch's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Width, heads, positions and batch of the shapes of `tinysweep bench train`.
SHAPES = {"small": (128, 4, 81, 64), "big": (512, 8, 97, 16)}
ON_A_PROCESSOR = ["small_mlp", "small_att", "big_mlp", "big_att"]
ON_A_GPU = ["big_att::768", "big_mlp::768"]
ON_A_GPU += ["small_att:128:768", "small_mlp:128:768", "small_att:64:768", "small_att:32:768", "small_mlp:32:768"]


class Shape:
    """What is computed, in the words of both sides."""

    def __init__(self, text, task):
        name, *replaced = text.split(":")
        size, _, self.mixer = name.partition("_")
        are_numbers = all(number.isdecimal() and int(number) > 0 for number in replaced if number)
        if name not in ON_A_PROCESSOR or len(replaced) > 2 or not are_numbers:
            sys.exit(f"{text} is not a shape: one is {', '.join(ON_A_PROCESSOR)}, or small_att:WIDTH:BATCH")
        width, self.heads, self.positions, batch = SHAPES[size]
        replaced = [int(number) if number else None for number in replaced] + [None, None]
        if task == "inference":
            if replaced[0]:
                sys.exit(f"{text}: `tinysweep bench inference` has no other widths; name a batch alone, as small_att::256")
            batch = 1
        self.name, self.width, self.batch = name, replaced[0] or width, replaced[1] or batch

    def ours(self, task):
        width = ["--width", self.width] if task == "train" else []
        return ["--shape", self.name, *width, "--batch", self.batch]

    def pytorch(self):
        return ["--mixer", self.mixer, "--width", self.width, "--heads", self.heads, "--positions", self.positions, "--batch", self.batch]


def run(command):
    """What it prints, which is JSON."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(args, shape, mode):
    """Milliseconds and MiB of one side, which is ours or a mode of PyTorch's."""
    same = ["--precision", args.precision, "--device", args.device, "--threads", args.threads, "--steps", args.steps]
    if args.task == "inference":
        same += ["--supervision-steps", args.supervision_steps]
    if mode != "ours":
        figures = run([sys.executable, HERE / "pytorch.py", args.task, *shape.pytorch(), "--mode", mode, *same])
        return figures["cpu_ms" if args.by_cpu else "ms"], figures["peak_rss_mib"]
    figures = run([args.program, "bench", args.task, *shape.ours(args.task), "--output", "json", *same])
    clock, cpu = ("ms_per_step", "cpu_ms_per_step") if args.task == "train" else ("answer_ms_p50", "cpu_ms_per_answer")
    return figures[cpu if args.by_cpu else clock], figures["peak_rss_mib"]


def compare(args, shape):
    """Prints the line of a shape."""
    rounds = {mode: [] for mode in args.modes}
    for _ in range(args.rounds):
        for mode in args.modes:
            rounds[mode].append(measure(args, shape, mode))
    ms = {mode: statistics.median(ms for ms, _ in figures) for mode, figures in rounds.items()}
    best = min(args.modes[1:], key=ms.get)
    mib = [max(mib for _, mib in rounds[mode]) for mode in ["ours", best]]
    of_each = "".join(f" {ms[mode]:>15.2f}" for mode in args.modes)
    ratio = ms[best] / ms["ours"]
    print(f"{shape.name:<10} {shape.width:>5} {shape.batch:>5}{of_each} {mib[0]:>9.0f} {mib[1]:>12.0f} {ratio:>6.2f}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "inference"])
    parser.add_argument("--program", default=HERE.parents[1] / "target/release/tinysweep", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="steps or answers that are timed in a round: 3, on a GPU 20")
    parser.add_argument("--supervision-steps", type=int, default=16, help="of an answer")
    parser.add_argument("--shapes", nargs="+", metavar="SHAPE[:WIDTH[:BATCH]]")
    args = parser.parse_args()
    args.program = args.program.resolve()
    if not args.program.is_file():
        parser.error(f"{args.program} is not there: `cargo build --release` makes it, or --program names another")
    is_cpu = args.device == "cpu"
    args.by_cpu = is_cpu and args.threads == 1
    # An answer's calls are compiled one by one, and recorded ones would overwrite what the next one reads.
    args.modes = ["ours", "eager", "compile"] + (["reduce-overhead"] if args.task == "train" and not is_cpu else [])
    args.steps = args.steps or (3 if is_cpu else 20)
    names = args.shapes or (ON_A_PROCESSOR if is_cpu or args.task == "inference" else ON_A_GPU)
    args.shapes = [Shape(name, args.task) for name in names]
    return args


def main():
    args = arguments()
    # One thread means one, also where a library reads it from the environment.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    what = "ms of CPU time" if args.by_cpu else "ms"
    print(f"{args.task}, {args.device}, {args.precision}, threads {args.threads}: {what}, MiB, times as fast as the best of PyTorch")
    of_each = "".join(f" {mode:>15}" for mode in args.modes)
    print(f"{'shape':<10} {'width':>5} {'batch':>5}{of_each} {'ours, MiB':>9} {'PyTorch, MiB':>12} {'ratio':>6}", flush=True)
    for shape in args.shapes:
        compare(args, shape)


if __name__ == "__main__":
    main()
