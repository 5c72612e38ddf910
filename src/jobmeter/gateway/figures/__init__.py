"""Runner metrics: what happened to each runner, counted, and told in several systems' names."""
