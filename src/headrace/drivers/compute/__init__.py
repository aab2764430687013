"""Compute drivers: how a deployment's replicas come to run."""
