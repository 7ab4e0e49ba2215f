"""What a corpus of any size takes: measured unit costs, and the arithmetic that multiplies them."""
