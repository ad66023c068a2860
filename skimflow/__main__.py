"""`python -m skimflow`."""

from skimflow.cli import main

if __name__ == "__main__":
    main()
