"""How well prompts are matched with tasks and weighed against cost: fitting, cross-validation, baselines, report."""
