"""What a program returns instead of 0."""

INDEX_ERROR, POWER_ERROR, CALL_ERROR = 1, 2, 3
