"""The built-in sets: generated here or bundled with scikit-learn, nothing downloaded."""
