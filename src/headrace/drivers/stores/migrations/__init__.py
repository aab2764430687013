"""The numbered steps of the schema and what applies them; imported only when there is a step to take."""
