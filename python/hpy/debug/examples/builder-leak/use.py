import example

try:
    print(example.doubled(None))
except TypeError as error:
    print(error)
