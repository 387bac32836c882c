"""``python -m sciml``."""

from sciml.cli.app import main

if __name__ == "__main__":
    main()
