"""What a schedule is to people and to files: recorded, named, written, and followed again."""
