#!/bin/sh
# Minimizes x² + y²/10 from a random start by steepest descent with momentum. Arguments: lr=… momentum=… steps=…
exec awk -v seed="$TINYSWEEP_SEED" -f - "$@" <<'AWK'
BEGIN {
    for (i = 1; i < ARGC; i++) {
        split(ARGV[i], pair, "=")
        set[pair[1]] = pair[2]
    }
    srand(seed % 2147483647)
    x = 4 * rand() - 2
    y = 4 * rand() - 2
    for (step = 1; step <= set["steps"]; step++) {
        vx = set["momentum"] * vx - set["lr"] * 2 * x
        vy = set["momentum"] * vy - set["lr"] * y / 5
        x += vx
        y += vy
        printf "{\"step\": %d, \"loss\": %.6g}\n", step, x * x + y * y / 10
    }
    printf "ended at (%.3g, %.3g)\n", x, y
}
AWK
