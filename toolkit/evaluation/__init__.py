"""Evaluation: exact scores for a model's interleaved answers, and what a mixture of data teaches.

    items -> prompts -> a model -> answers -> the scene verifier and exact answers -> checks -> scores, report

parts       the eighteen parts, by name; wanted: what a prompt wants of a picture
items       one question of the benchmark: prompt, reference answer, and how an answer is checked
drawing     parts that ask for a picture                editing     parts that ask for a changed picture
questions   parts that ask about a picture, or a problem told in words
checks      what a picture must show -> right, wrong or unsure
answers     a model's answers, from a folder or JSON Lines
scoring     answers -> verdicts; statistics: shares with intervals, tests
report      a page and tables

Nothing here shares code with what drew the pictures of the answers: they are read by `toolkit.scene.verify`.
"""
