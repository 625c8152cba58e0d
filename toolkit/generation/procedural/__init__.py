"""The scene engine behind the protocol of models: an answer to every prompt of a recipe, and judges by pixels."""
