"""What is done with a kind of model: photos translated, images made from noise."""
