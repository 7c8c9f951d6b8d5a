"""Other people's programs, served by ours."""
