"""A table of your own: from a CSV file to a score beside baselines, what moves the prediction, and a stored model."""

import csv
import random

from bprop.train import fit_table, load_table_model, read_table

random.seed(0)
with open("flats.csv", "w", newline="") as file:  # rents that depend on size and town, and not on the door
    writer = csv.writer(file)
    writer.writerow(["size", "town", "door", "rent"])
    for _ in range(300):
        size, town, door = random.uniform(20, 120), random.choice(["Aachen", "Bonn"]), random.choice(["red", "blue"])
        rent = 200 + (12 if town == "Bonn" else 8) * size + random.gauss(0, 30)
        writer.writerow([f"{size:.1f}" if random.random() > 0.05 else "", town, door, f"{rent:.0f}"])

table = read_table("flats.csv")
print(table)

result = fit_table(table, "rent", epochs=60, out="rent", progress=False)
print(result)
print("\nInfluence: how far the rent moves when a column moves by its standard deviation")
for column, value in result.influence.items():
    print(f"  {column:5} {value:6.1f}")

assert result.scores["network"]["r2"] > 0.7 > 0.1 > result.scores["mean"]["r2"]
assert list(result.influence) == ["size", "town", "door"]

model = load_table_model("rent")  # as `bprop predict rent new.csv` does
with open("new.csv", "w") as file:
    file.write("town,size\nBonn,100\nAachen,100\nCologne,100\n")
try:
    model.predict(read_table("new.csv"))
except ValueError as error:
    print(f"\n{error.message}")

with open("new.csv", "w") as file:
    file.write("town,size,door\nBonn,100,red\nAachen,100,red\nCologne,100,red\n")
found = model.predict(read_table("new.csv"))
print(found.csv() + "\n".join(found.notes))
assert found.values[0] > found.values[1] + 200
assert found.values == result.model.predict(read_table("new.csv")).values
