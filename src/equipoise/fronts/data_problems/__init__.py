"""Problems on data whose losses trade against each other: digits that overlap, digits that are turned, fairness."""
