"""What is remembered: journal, links, runs, tokens, leases. The only place that speaks SQL."""
