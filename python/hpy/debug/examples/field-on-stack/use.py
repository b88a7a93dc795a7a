import example

box = example.Box()
box.swap(1)
print(box.swap(2))
