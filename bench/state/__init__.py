"""What a sample may change: looked through, watched, and put back as it was at first."""
