"""One script for every way in: it reads a file that it is given, and makes a plot."""

from __future__ import annotations

NAME = "cities.csv"
CITIES = "city,people\nOslo,709037\nBergen,291940\n"
SCRIPT = """
import pandas as pd, matplotlib.pyplot as plt
cities = pd.read_csv("cities.csv")
cities.plot.bar(x="city", y="people", rot=0, figsize=(7, 3.2))
plt.savefig("plot.png")
print(cities.people.sum())
"""
TOTAL = "1000977"
"""What it prints."""
PNG = b"\x89PNG\r\n\x1a\n"
"""How its plot.png begins."""
