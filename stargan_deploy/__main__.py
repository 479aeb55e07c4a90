"""Lets `python -m stargan_deploy` do what `stargan-deploy` does."""

from stargan_deploy.cli import main

main()
