"""Give a program a file, and take the plot that it makes.

python 02-file-in-plot-out.py [FOLDER TO WRITE TO]
"""

import sys
import tempfile
from pathlib import Path

from codesession import Client

PROGRAM = """
import matplotlib.pyplot as plt
import pandas as pd

sales = pd.read_csv("sales.csv")
sales.plot.bar(x="month", y="sold")
plt.savefig("sales.png")
print(f"{sales.sold.sum()} sold")
"""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
(folder / "sales.csv").write_text("month,sold\nJanuary,12\nFebruary,30\n")

with Client() as client:
    # A path is uploaded, streamed from the disk; client.upload() does it once for many programs.
    result = client.execute(PROGRAM, files=[folder / "sales.csv"])
    print(result.stdout, end="")

    for file in result.files:
        if not file.inherited:  # the input is among them
            path = client.download(file, folder / "results")
            print(f"wrote {path.name}, {path.stat().st_size > 1000 = }")
