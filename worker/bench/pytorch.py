"""The step of `tinysweep bench train` in PyTorch: embedding, 21 calls of a network of two blocks (14 without gradient, 7 with), softmax
cross entropy, backpropagation, AdamW, on random tokens. Prints the median milliseconds of a step.

    python pytorch.py --mixer att --width 512 --heads 8 --positions 97 --batch 768 --precision bf16 --mode compile --device cuda
"""

import argparse
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

    def cycle(self, x, answer, latent):
        for _ in range(CALLS):
            latent = self.blocks(latent + answer + x)
        return self.blocks(answer + latent), latent

    def forward(self, tokens, labels):
        x = F.embedding(tokens, self.embedding) * self.embedding.shape[1] ** 0.5
        answer, latent = (start.expand_as(x) for start in self.start)
        with torch.no_grad():
            for _ in range(CYCLES - 1):
                answer, latent = self.cycle(x, answer, latent)
        answer, _ = self.cycle(x, answer, latent)
        return F.cross_entropy(F.linear(answer, self.head).float().flatten(0, 1), labels.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixer", choices=["att", "mlp"], required=True)
    for name in ["width", "heads", "positions", "batch"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="bf16")
    parser.add_argument("--mode", choices=["eager", "compile", "reduce-overhead"], default="eager")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(args.device)
    model = Model(args).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    tokens, labels = (torch.randint(0, VOCABULARY, (args.batch, args.positions), device=device) for _ in range(2))
    loss = model
    if args.mode != "eager":
        loss = torch.compile(model, mode="default" if args.mode == "compile" else args.mode)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16"):
            loss(tokens, labels).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    print(f"{statistics.median(times):.2f}")


if __name__ == "__main__":
    main()
