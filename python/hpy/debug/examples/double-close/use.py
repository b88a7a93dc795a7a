import example

print(example.first([-1]))
