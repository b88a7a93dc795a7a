import example

example.Pair().set([1, 2])
