"""What training loops share beyond a loss.

trainer     transformers' Trainer: losses of text and pictures apart, evaluation over tokens, resume that reads nothing
            twice
freezing    which parts of a model are trained, and how many numbers that are
"""
