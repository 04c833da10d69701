"""One HTML file of a results folder: the board, a gate's verdict, charts and the evidence behind every cell."""
