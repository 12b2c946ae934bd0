"""Which backend an operation uses, what happens when that one fails, and who is owed what since."""
