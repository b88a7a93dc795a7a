import example

print(example.twice(21))
