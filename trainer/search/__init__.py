"""The search for the best model: what can be tried, the journal, the leaderboard, the trade-off."""
