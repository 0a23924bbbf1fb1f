"""Named questions to history: asked of DuckDB relations, answered as Arrow, shown as JSON, CSV, a table or a page.

`question` says what a question and an answer are and collects the questions; `questions/` holds them, one small
family a file; `tally` counts events once and says what it left out; `render/` shows answers.
"""
