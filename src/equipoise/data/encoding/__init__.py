"""Raw columns in, numeric inputs and targets out, with a sentence for everything that was done."""
