"""What `tinysweep bench train` and `tinysweep bench inference` measure, in PyTorch.

A step is embedding, 21 calls of a network of two blocks (14 without gradient, 7 with), softmax cross entropy, backpropagation and AdamW, on
random tokens. An answer is the same calls without gradient, supervision step after supervision step, and the most likely tokens. Prints
medians of the milliseconds by the clock and by the CPU, and the most memory of the process, as JSON.

    python pytorch.py train --mixer att --width 512 --heads 8 --positions 97 --batch 768 --precision bf16 --mode compile --device cuda
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY = 11
CYCLES, CALLS = 3, 6


def inner_size(width):
    return -(-round(width * 8 / 3) // 256) * 256


def linear(outputs, inputs):
    return nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5)


def norm(x, dim):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(dim, keepdim=True) + 1e-5)).to(x.dtype)


class SwiGlu(nn.Module):
    def __init__(self, width):
        super().__init__()
        inner = inner_size(width)
        self.gate_up, self.down = linear(2 * inner, width), linear(width, inner)

    def forward(self, x):
        gate, up = F.linear(x, self.gate_up).chunk(2, -1)
        return F.linear(F.silu(gate) * up, self.down)


class Attention(nn.Module):
    def __init__(self, width, heads, positions):
        super().__init__()
        self.heads = heads
        self.qkv, self.output = linear(3 * width, width), linear(width, width)
        half = width // heads // 2
        angles = torch.outer(torch.arange(positions).float(), 10000.0 ** (-torch.arange(half).float() / half))
        self.register_buffer("cos", torch.cat([angles.cos()] * 2, -1))
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], -1))

    def turn(self, x):
        return x * self.cos.to(x.dtype) + torch.roll(x, x.shape[-1] // 2, -1) * self.sin.to(x.dtype)

    def forward(self, x):
        batch, positions, width = x.shape
        parts = F.linear(x, self.qkv).view(batch, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(self.turn(parts[0]), self.turn(parts[1]), parts[2])
        return F.linear(mixed.transpose(1, 2).reshape(batch, positions, width), self.output)


class Block(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.over_positions = args.mixer == "mlp"
        self.mixer = SwiGlu(args.positions) if self.over_positions else Attention(args.width, args.heads, args.positions)
        self.mlp = SwiGlu(args.width)

    def forward(self, x):
        if self.over_positions:
            turned = x.transpose(1, 2)
            x = norm(turned + self.mixer(turned), -1).transpose(1, 2)
        else:
            x = norm(x + self.mixer(x), -1)
        return norm(x + self.mlp(x), -1)


class Model(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.embedding, self.head = linear(VOCABULARY, args.width), linear(VOCABULARY, args.width)
        self.blocks = nn.Sequential(Block(args), Block(args))
        self.register_buffer("start", torch.randn(2, args.width))
        # What is between the products, as the published model has it; autocast has weights in it for each product.
        self.dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32

    def call(self, state, injected):
        return self.blocks(state + injected)

    def cycle(self, x, answer, latent):
        for _ in range(CALLS):
            latent = self.call(latent, answer + x)
        return self.call(answer, latent), latent

    def embed(self, tokens):
        """The input, and the states to begin with."""
        x = (F.embedding(tokens, self.embedding) * self.embedding.shape[1] ** 0.5).to(self.dtype)
        return x, *(start.to(self.dtype).expand_as(x) for start in self.start)

    def cycles_without_gradient(self, x, answer, latent, cycles):
        with torch.no_grad():
            for _ in range(cycles):
                answer, latent = self.cycle(x, answer, latent)
        return answer, latent

    def forward(self, tokens, labels):
        """The loss of a supervision step."""
        x, answer, latent = self.embed(tokens)
        answer, latent = self.cycles_without_gradient(x, answer, latent, CYCLES - 1)
        answer, _ = self.cycle(x, answer, latent)
        return F.cross_entropy(F.linear(answer, self.head).float().flatten(0, 1), labels.flatten())

    def answer(self, tokens, supervision_steps):
        """The most likely tokens after so many supervision steps."""
        x, answer, latent = self.embed(tokens)
        answer, _ = self.cycles_without_gradient(x, answer, latent, CYCLES * supervision_steps)
        return F.linear(answer, self.head).argmax(-1)


def training(args, model, tokens):
    """A step of training."""
    labels = torch.randint_like(tokens, VOCABULARY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=args.precision == "bf16"):
            model(tokens, labels).backward()
        optimizer.step()

    return step


def inference(args, model, tokens):
    """An answer to all puzzles of the batch."""
    if args.precision == "bf16":
        model.to(torch.bfloat16)

    @torch.inference_mode()
    def answer():
        model.answer(tokens, args.supervision_steps)

    return answer


def compiled(model, args):
    """The model, compiled as `args` has it."""
    mode = "default" if args.mode == "compile" else args.mode
    if args.mode == "eager":
        return model
    if args.task == "train" and args.device != "cpu":
        model.forward = torch.compile(model.forward, mode=mode)
    else:
        # All calls of a step or of an answer at once take many minutes to compile for a processor.
        model.call = torch.compile(model.call, mode=mode)
    return model


def measure(run, device, warm_up, repetitions):
    """Medians of milliseconds by the clock and by the CPU."""
    wall, cpu = [], []
    for index in range(warm_up + repetitions):
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if index >= warm_up:
            wall.append((time.perf_counter() - start) * 1e3)
            cpu.append((time.process_time() - cpu_start) * 1e3)
    return statistics.median(wall), statistics.median(cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "inference"])
    parser.add_argument("--mixer", choices=["att", "mlp"], required=True)
    for name in ["width", "heads", "positions", "batch"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--mode", choices=["eager", "compile", "reduce-overhead"], default="eager")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="steps or answers that are timed")
    parser.add_argument("--supervision-steps", type=int, default=16, help="of an answer")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    model = compiled(Model(args).to(device), args)
    tokens = torch.randint(0, VOCABULARY, (args.batch, args.positions), device=device)
    run, warm_up = (training(args, model, tokens), 3) if args.task == "train" else (inference(args, model, tokens), 1)
    wall, cpu = measure(run, device, warm_up, args.steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms": wall, "cpu_ms": cpu, "peak_rss_mib": peak}))


if __name__ == "__main__":
    main()
