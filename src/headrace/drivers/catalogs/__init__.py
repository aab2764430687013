"""Where catalog files come from."""
