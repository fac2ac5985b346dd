"""What is written down: audits, trainings, studies, as plain data. Never imports torch or pandas."""
