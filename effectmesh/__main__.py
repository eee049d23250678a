"""``effectmesh``: the command line. What a command needs is imported inside it."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from effectmesh.cli.app import app

    app(prog_name="effectmesh")


if __name__ == "__main__":
    main()
