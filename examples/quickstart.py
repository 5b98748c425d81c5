"""Train a ranking model and its baselines on impressions, compare them, and score new rows."""

import crosstower as ct

world = ct.worlds.make("rentals", rows=20_000)  # or your own pandas, polars or Arrow table
run = ct.fit(world.schema, data=world.frame, out="runs/rentals", quiet=True)

for model, of in run.metrics["tasks"]["click"].items():
    print(f"{model:20} AUC {of['auc']['mean']:.3f}  log loss {of['log_loss']['mean']:.3f}")

print(run.predict(world.frame.head(3), columns=["user_id", "listing_id"]))
