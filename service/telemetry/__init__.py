"""What the server tells the people who run it."""
