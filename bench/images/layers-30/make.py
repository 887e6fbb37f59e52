#!/usr/bin/env python3
"""What one of many layers holds: make.py TREE NUMBER FILES

FILES files of its own, and one that each layer replaces.
"""

import os
import random
import sys

tree, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = random.Random(number)
directory = os.path.join(tree, f"opt/part-{number:02}")
os.makedirs(directory)
for index in range(count):
    with open(os.path.join(directory, f"{index:03}.bin"), "wb") as file:
        file.write(generator.randbytes(generator.randrange(1000, 40_000)))
with open(os.path.join(tree, "opt/latest"), "w") as file:
    file.write(f"{number}\n")
