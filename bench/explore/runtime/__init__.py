"""What runs in every controlled process: the board that all share, and who takes the next step."""
