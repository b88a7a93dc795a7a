import example

print(example.pair(1))
