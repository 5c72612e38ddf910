#!/usr/bin/env python3
"""Write C files that cost a compiler some tenths of a second each, and a Makefile that builds a program."""

from __future__ import annotations

import argparse
from pathlib import Path

FUNCTIONS_PER_FILE = 36

FUNCTION = """
static double part_{file}_{number}(const double *in, double *out, int n) {{
    double sum = {number}.0;
    for (int i = 1; i < n - 1; i++) {{
        double a = in[i - 1] * {factor}.25 + in[i], b = in[i + 1] - sum / (i + {number});
        for (int k = 0; k < {depth}; k++) {{
            out[i] += a * k - b * in[(i * k) % n];
            sum += out[i] > a ? out[i] - b : (k & 1 ? a : b) * out[(i + k) % n];
        }}
        switch (i % 7) {{
        case 0: sum += a; break;
        case 1: sum -= b; break;
        case 2: sum *= 0.5; break;
        case 3: out[i] = sum; break;
        case 4: sum = -sum; break;
        default: sum += in[i];
        }}
    }}
    return sum;
}}
"""

UNIT = """
double unit_{file}(const double *in, double *out, int n) {{
    return {sum};
}}
"""

MAKEFILE = """CFLAGS = -O2
OBJECTS = {objects}

program: $(OBJECTS)
\t$(CC) -o $@ $(OBJECTS)
"""


def unit(file: int) -> str:
    """The text of the C file with the given number."""
    functions = [
        FUNCTION.format(file=file, number=number, factor=file + number, depth=4 + number % 5)
        for number in range(FUNCTIONS_PER_FILE)
    ]
    calls = " + ".join(f"part_{file}_{number}(in, out, n)" for number in range(FUNCTIONS_PER_FILE))
    return "".join(functions) + UNIT.format(file=file, sum=calls)


def main_unit(count: int) -> str:
    """The text of the C file that calls all the others."""
    declarations = "".join(f"double unit_{file}(const double *, double *, int);\n" for file in range(count))
    calls = " + ".join(f"unit_{file}(in, out, 64)" for file in range(count))
    body = f"    static double in[64], out[64];\n    return {calls} < 0;\n"
    return f"{declarations}\nint main(void) {{\n{body}}}\n"


def generate(directory: Path, count: int) -> None:
    """Write `count` C files, a main file and a Makefile into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in range(count):
        (directory / f"unit_{file:02}.c").write_text(unit(file))
    (directory / "main.c").write_text(main_unit(count))
    objects = " ".join(["main.o", *(f"unit_{file:02}.o" for file in range(count))])
    (directory / "Makefile").write_text(MAKEFILE.format(objects=objects))


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=40)
    arguments = parser.parse_args()
    generate(arguments.directory, arguments.count)


if __name__ == "__main__":
    main()
