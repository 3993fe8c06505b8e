"""Mode explore: real processes that run one at a time, under a scheduler that decides each step."""
