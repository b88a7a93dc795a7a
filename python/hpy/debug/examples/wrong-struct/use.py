import example

print(example.Point().same(42))
