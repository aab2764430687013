"""The control plane: one module for each family of resources; app puts their routes together."""
