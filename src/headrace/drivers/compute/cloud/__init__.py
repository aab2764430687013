"""The `cloud` compute driver: deployments that run at a cloud which speaks the public dedicated-inference contract."""
