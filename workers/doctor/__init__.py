"""`customhouse doctor`: tries every configured part for real, and says what is wrong and what to do."""
