"""HTTP entry points; thin, one module per API family."""
