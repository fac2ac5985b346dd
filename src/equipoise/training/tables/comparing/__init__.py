"""What a fit compares: entrants, their trainings, the rules by which the validation part chooses."""
