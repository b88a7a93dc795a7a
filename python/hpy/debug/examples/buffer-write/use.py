import example

print(example.masked("secret"))
