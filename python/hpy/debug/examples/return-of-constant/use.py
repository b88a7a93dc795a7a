import example

print(example.nothing())
