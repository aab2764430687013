"""The `ray` compute driver: deployments as applications of Ray Serve, spoken to by its REST API; never imports Ray."""
