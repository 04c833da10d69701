"""What may pass: the quality, drift and speed gates, their limits, and what they leave behind."""
