"""What every part uses: tasks and preferences, losses as users hand them over, numbers, names, files, records."""
