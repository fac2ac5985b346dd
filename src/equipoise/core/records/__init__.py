"""Records of audits, trainings and studies as plain data. Never imports torch or pandas."""
