"""What people and machines read: plans, runs and progress as text or JSON."""
