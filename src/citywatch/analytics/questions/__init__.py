"""The questions. Each module offers `QUESTIONS`; `citywatch.analytics.question.questions` collects them."""
