import example

print(example.show(0))
