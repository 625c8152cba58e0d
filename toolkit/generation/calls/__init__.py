"""The one place that calls models: cache, limits, budget, retries, repair, replay."""
