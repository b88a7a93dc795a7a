import example

print(example.successor(41))
