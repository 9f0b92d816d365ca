"""``python -m mean_prompt``: the command line."""

from mean_prompt.cli import main

if __name__ == "__main__":
    main()
