import example

box = example.Box()
box.set([1, 2])
