import example

print(example.sum_of_bytes("text"))
