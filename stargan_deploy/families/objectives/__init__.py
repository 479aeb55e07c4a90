"""What an objective is, and the parts that several of them share."""
