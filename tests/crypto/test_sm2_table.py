"""The table of multiples of G in the tree is what its generator writes."""
import os
import subprocess
import sys

folder = os.path.join(os.environ["FENGNI_SRC"], "src/crypto/sm2")
made = subprocess.run([sys.executable, os.path.join(folder, "make_table.py")], check=True, stdout=subprocess.PIPE).stdout
with open(os.path.join(folder, "sm2_table.c"), "rb") as f:
    kept = f.read()
if made != kept:
    sys.exit("sm2_table.c differs from the output of make_table.py")
