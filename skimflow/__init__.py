"""From a func_adl query to a fitted result; what did not change is not computed again."""

__version__ = "0.1.0"
